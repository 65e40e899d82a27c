"""The launches of NonMaxSuppression, and what they keep in the workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import Fill, Launch, Scalar, Step, TensorDesc, Workspace, int32, known

if TYPE_CHECKING:
    from pluginkit.plugins.non_max_suppression import NonMaxSuppression

_THREADS = 256
#: Keys that a block sorts, and runs that are merged into one.
_TILE, _FAN = 2048, 8
#: The most boxes of a chunk, and the threads that choose among them: a warp for every 4 words.
_CHUNK, _CHOOSE_THREADS = 8192, 1024
#: Boxes of the first chunk, after which often enough are chosen.
_FIRST_CHUNK = 2048
#: The boxes of later chunks, by the number of segments up to which they are that many: the masks
#: then take 64 MiB. Beyond, a chunk has 256.
_CHUNKS = {8192: 8, 4096: 32, 2048: 128, 1024: 512, 512: 2048, 256: 2**31}
#: Boxes chosen before, with which a block compares some boxes of a chunk.
_SLICE = 1024
_WORD = 64
#: With this many blocks a large GPU is busy.
_BLOCKS = 2112
_ALIGNMENT = 256

#: What the kernels share with Python.
DEFINES = {
    "THREADS": _THREADS,
    "TILE": _TILE,
    "FAN": _FAN,
    "CHUNK": _CHUNK,
    "CHOOSE_THREADS": _CHOOSE_THREADS,
    "SLICE": _SLICE,
}


@dataclass(frozen=True)
class NonMaxSuppressionProblem:
    """The sizes of a call with static shapes.

    Attributes:
        segments: classes of all images.
        classes: classes of an image.
        boxes: boxes of an image.
        most: boxes that may be chosen of a segment.
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
        """The tiles of a segment that are sorted one by one."""
        return -(-self.boxes // _TILE)

    def sizes(self) -> list[int]:
        """Return the workspace's parts in bytes, for this shape and for smaller ones.

        They are counts and marks; runs and keys, each twice; lists of chosen boxes; masks.
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

    def steps(
        self,
        plugin: NonMaxSuppression,
        boxes: TensorDesc,
        scores: TensorDesc,
        scalars: Sequence[TensorDesc | None],
        outputs: tuple[TensorDesc, TensorDesc],
        workspace: Workspace,
    ) -> Iterator[Step]:
        """Yield the steps; ``scalars`` are the limit and both thresholds."""
        sizes = self.sizes()
        most, iou_threshold, score_threshold = scalars
        chosen, marks, *runs_and_keys, lists, masks = workspace.split(sizes)
        runs, keys = runs_and_keys[:2], runs_and_keys[2:]
        yield Fill(workspace.first(sum(sizes[:2])))
        tiles = (keys[0], runs[0], scores, score_threshold, int32(self.boxes))
        yield Launch(plugin.tile_kernel, (self.segments, self.tiles), _THREADS, tiles)
        width, count = _TILE, self.tiles
        while count > 1:
            (merged, source), (merged_runs, source_runs) = keys[::-1], runs[::-1]
            where = map(int32, (self.boxes, width, count))
            yield Launch(
                plugin.merge_kernel,
                (self.segments, -(-self.boxes // _THREADS)),
                _THREADS,
                (merged, merged_runs, source, source_runs, *where),
            )
            keys, runs = keys[::-1], runs[::-1]
            width, count = width * _FAN, -(-count // _FAN)
        center = {"CENTER": bool(plugin.center_point_box)}
        for first, size in self.chunks():
            chunk = self._chunk(first, size, sizes[1])
            found = (keys[0], runs[0])
            given = (boxes, most, iou_threshold, chunk)
            yield Launch(
                plugin.compare_kernel,
                (self.segments, self._compare_blocks(first, size)),
                _THREADS,
                (masks, marks, *found, lists, chosen, *given),
                constants=center,
            )
            warps = min(_CHOOSE_THREADS // 32, size // _WORD)
            choose = (lists, chosen, marks, masks, *found, most, chunk)
            yield Launch(plugin.choose_kernel, self.segments, 32 * warps, choose)
        write = (*outputs, lists, chosen, int32(self.classes), int32(self.most))
        yield Launch(plugin.write_kernel, self.segments, _THREADS, write)

    def _chunk(self, first: int, size: int, mark_bytes: int) -> Scalar:
        """Return the argument that the kernels call Chunk."""
        mark_words = mark_bytes // self.segments // 8 * 2  # whole 64-bit words
        return int32((self.boxes, self.classes, self.most, first, size, mark_words))

    def _compare_blocks(self, first: int, size: int) -> int:
        """Return the blocks of a segment: one for each piece of work, or enough to be busy."""
        slices = -(-min(first, self.most) // _SLICE)
        pieces = (size // _WORD) ** 2 + slices * -(-size // _THREADS)
        return min(pieces, -(-_BLOCKS // self.segments), 65535)
