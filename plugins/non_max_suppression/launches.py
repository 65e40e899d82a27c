"""The launches of NonMaxSuppression, and the layout of its workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import Fill, Launch, Scalar, Step, TensorDesc, Workspace, int32, known

if TYPE_CHECKING:
    from pluginkit.plugins.non_max_suppression import NonMaxSuppression

_THREADS = 256
#: The most boxes of an image: a grid has so many blocks beside each other for each class.
MOST_BOXES = 65535 * _THREADS
#: How many keys a block sorts, and how many runs are merged into one.
_TILE, _FAN = 2048, 8
#: The most boxes of a chunk, and the most threads that choose among them: a warp for 4 words.
_CHUNK, _CHOOSE_THREADS = 8192, 1024
#: The boxes of the first chunk, after which often enough boxes are chosen.
_FIRST_CHUNK = 2048
#: The boxes of each later chunk, with the largest number of segments for which a chunk has that
#: many: the masks then take 64 MiB. With more segments a chunk has 256.
_CHUNKS = {8192: 8, 4096: 32, 2048: 128, 1024: 512, 512: 2048, 256: 2**31}
#: How many earlier chosen boxes a block compares with some boxes of a chunk.
_SLICE = 1024
_WORD = 64
#: With this many blocks a large GPU is busy.
_BLOCKS = 2112
_ALIGNMENT = 256

#: The constants that the kernels share with Python.
DEFINES = {
    "THREADS": _THREADS,
    "TILE": _TILE,
    "FAN": _FAN,
    "CHUNK": _CHUNK,
    "CHOOSE_THREADS": _CHOOSE_THREADS,
    "SLICE": _SLICE,
    "WORD": _WORD,
}


@dataclass(frozen=True)
class NonMaxSuppressionProblem:
    """The sizes of a call with static shapes.

    Attributes:
        segments: the classes of all images together.
        classes: the classes of an image.
        boxes: the boxes of an image.
        most: the most boxes to choose of a segment.
    """

    segments: int
    classes: int
    boxes: int
    most: int

    @classmethod
    def of(cls, scores: TensorDesc, most_boxes: int | None) -> NonMaxSuppressionProblem:
        """Return the sizes for scores and the attribute ``most_boxes``."""
        batches, classes, boxes = map(known, scores.shape)
        most = boxes if most_boxes is None else min(boxes, most_boxes)
        return cls(batches * classes, classes, boxes, most)

    @property
    def tiles(self) -> int:
        """The tiles of a segment, each of which a block sorts."""
        return -(-self.boxes // _TILE)

    def sizes(self) -> list[int]:
        """Return the sizes of the workspace's parts in bytes, enough for smaller shapes too.

        The parts are counts and marks; runs and keys, twice each; lists of chosen boxes; masks.
        """
        keys, runs = self.segments * self.boxes * 8, self.segments * self.tiles * 4
        chunks = [
            (min(self.segments, segments), self._chunk_size(size))
            for size, segments in _CHUNKS.items()
        ]
        sizes = [
            self.segments * 4,
            max(segments * size // 8 for segments, size in chunks),
            *[runs, runs],
            *[keys, keys if self.tiles > 1 else 0],
            self.segments * self.most * 4,
            max(segments * size * size // 8 for segments, size in chunks),
        ]
        return [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]

    def _chunk_size(self, size: int) -> int:
        return min(size, -(-self.boxes // _WORD) * _WORD)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Yield the first box and the size of each chunk."""
        later = next(size for size, segments in _CHUNKS.items() if self.segments <= segments)
        first, size = 0, min(later, _FIRST_CHUNK)
        while first < self.boxes:
            yield first, self._chunk_size(size)
            first, size = first + size, later


class NonMaxSuppressionLaunches:
    """The launches of one call.

    A merge moves keys, and the lengths of sorted runs, from one half of their memory to the other.
    The first half of each pair is always the current one.
    """

    def __init__(
        self,
        plugin: NonMaxSuppression,
        boxes: TensorDesc,
        scores: TensorDesc,
        limit: TensorDesc | None,
        iou_threshold: TensorDesc | None,
        score_threshold: TensorDesc | None,
        indices: TensorDesc,
        selected: TensorDesc,
        workspace: Workspace,
    ) -> None:
        self._plugin = plugin
        self._problem = problem = NonMaxSuppressionProblem.of(scores, plugin.most_boxes)
        self._boxes, self._scores = boxes, scores
        self._limit, self._iou, self._score = limit, iou_threshold, score_threshold
        self._indices, self._selected = indices, selected
        self._sizes = problem.sizes()
        parts = workspace.split(self._sizes)
        self._zeroed = workspace.first(sum(self._sizes[:2]))
        self._chosen, self._marks, *halves, self._lists, self._masks = parts
        self._runs, self._keys = halves[:2], halves[2:]

    def all(self) -> Iterator[Step]:
        """Yield every step: sort, choose chunk by chunk, write."""
        problem = self._problem
        if self._limit is None or not problem.segments or not problem.most:
            yield Fill(self._selected)
            return
        yield Fill(self._zeroed)
        yield from self._sort()
        for first, size in problem.chunks():
            yield self._compare(first, size)
            yield self._choose(first, size)
        numbers = int32(problem.classes), int32(problem.most)
        write = (self._indices, self._selected, self._lists, self._chosen, *numbers)
        yield Launch(self._plugin.write_kernel, problem.segments, _THREADS, write)

    def _sort(self) -> Iterator[Step]:
        plugin, problem, boxes = self._plugin, self._problem, int32(self._problem.boxes)
        tiles = (self._keys[0], self._runs[0], self._scores, self._score, boxes)
        yield Launch(plugin.tile_kernel, (problem.segments, problem.tiles), _THREADS, tiles)
        width, runs = _TILE, problem.tiles
        while runs > 1:
            merge = (self._keys[1], self._runs[1], self._keys[0], self._runs[0])
            grid = problem.segments, -(-problem.boxes // _THREADS)
            arguments = (*merge, boxes, int32(width), int32(runs))
            yield Launch(plugin.merge_kernel, grid, _THREADS, arguments)
            self._keys, self._runs = self._keys[::-1], self._runs[::-1]
            width, runs = width * _FAN, -(-runs // _FAN)

    def _compare(self, first: int, size: int) -> Launch:
        """Compare a chunk's boxes with each other, and with the chosen boxes of earlier chunks."""
        segments = self._problem.segments
        slices = -(-min(first, self._problem.most) // _SLICE)
        pieces = (size // _WORD) ** 2 + slices * -(-size // _THREADS)
        blocks = min(pieces, -(-_BLOCKS // segments))
        known = (self._keys[0], self._runs[0], self._lists, self._chosen, self._boxes)
        return Launch(
            self._plugin.compare_kernel,
            (segments, blocks),
            _THREADS,
            (
                *(self._masks, self._marks, *known),
                *(self._limit, self._iou, self._chunk(first, size)),
            ),
            constants={"CENTER": bool(self._plugin.center_point_box)},
        )

    def _choose(self, first: int, size: int) -> Launch:
        warps = min(_CHOOSE_THREADS // 32, size // _WORD)
        made = (self._lists, self._chosen, self._marks)
        known = (self._masks, self._keys[0], self._runs[0], self._limit)
        arguments = (*made, *known, self._chunk(first, size))
        return Launch(self._plugin.choose_kernel, self._problem.segments, 32 * warps, arguments)

    def _chunk(self, first: int, size: int) -> Scalar:
        """Return the argument that the kernels call Chunk."""
        problem = self._problem
        mark_words = self._sizes[1] // problem.segments // 8 * 2  # whole 64-bit words
        return int32((problem.boxes, problem.classes, problem.most, first, size, mark_words))
