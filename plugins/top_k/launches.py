"""Which launches a TopK takes, and what they need."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Argument,
    CudaKernel,
    Fill,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    int32,
    int64,
    product,
)

if TYPE_CHECKING:
    from pluginkit.plugins.top_k import TopK

_THREADS = 512
_WARPS = _THREADS // 32
_LOADS = 8
_DIGIT_BITS = 11
_BINS = 2**_DIGIT_BITS
#: Keys that a block sorts in shared memory where it takes a whole row.
CAPACITY = 4096
#: Keys that a block sorts where a row is split, and how many such runs are merged at once.
_TILE = 2048
_FAN = 8
#: Blocks that keep a large GPU busy; more rows are not split.
_BLOCKS = 264
#: Elements that are worth a block.
_SEGMENT = 4096
_STATE_BYTES = 16
_ALIGNMENT = 256


class Problem:
    """One call's sizes.

    Attributes:
        rows: how many there are.
        size: elements of a row.
        k: how many are wanted of each.
        itemsize: bytes of an element.
        inner: how far a row's elements lie apart.
    """

    def __init__(self, plugin: TopK, x: TensorDesc, k: TensorDesc) -> None:
        axis = x.axis(plugin.axis)
        self._plugin = plugin
        self._may_split = plugin.tactic == "split"
        self.itemsize = x.dtype.itemsize
        self.inner = operator.index(product(x.shape[axis + 1 :]))
        self.rows = operator.index(product(x.shape[:axis])) * self.inner
        self.size = operator.index(x.shape[axis])
        self.k = operator.index(k.values[0])

    @property
    def segments(self) -> int:
        """Parts of a row, equally long but for the last."""
        return min(-(-_BLOCKS // self.rows), -(-self.size // _SEGMENT))

    def workspace_bytes(self) -> int:
        """Enough for the problem and for smaller ones, as TensorRT asks at the maximum alone.

        Where rows become fewer or k smaller, a call may be split that was not.
        """
        nbytes = sum(self._sizes(self.rows, self.k)) if self.k > CAPACITY else 0
        if self._may_split:
            nbytes = max(nbytes, sum(self._sizes(min(self.rows, _BLOCKS), min(self.k, CAPACITY))))
        return nbytes

    def _sizes(self, rows: int, k: int) -> list[int]:
        """Bytes of histograms and states, what segments count, and keys and places, twice."""
        keys, places = rows * k * self.itemsize, rows * k * 4
        sizes = [rows * _BINS * 4, rows * _STATE_BYTES, (rows + _BLOCKS) * 8]
        sizes += [keys, places] * (1 if k <= _TILE else 2)
        return [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]

    def steps(
        self, x: TensorDesc, values: TensorDesc, indices: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """The launches, none where nothing is wanted."""
        if not self.k or not self.rows:
            return ()
        if self.k > CAPACITY or (self._may_split and self.segments > 1):
            return list(self._split_steps(x, values, indices, workspace))
        shared_bytes = CAPACITY * (self.itemsize + 4)
        shared_bytes += 4 * (1 + (_BINS + _WARPS + 3) + (_LOADS * _WARPS + 1))
        arguments = (values, indices, x, self._layout(1))
        return [self._launch(self._plugin.kernel, self.rows, *arguments, shared_bytes=shared_bytes)]

    def _split_steps(
        self, x: TensorDesc, values: TensorDesc, indices: TensorDesc, workspace: Workspace
    ) -> Iterator[Step]:
        plugin, sizes = self._plugin, self._sizes(self.rows, self.k)
        yield Fill(workspace.first(sum(sizes[:2])))
        histograms, states, met, *runs = workspace.split(sizes)
        layout, blocks = self._layout(self.segments), self.rows * self.segments
        for known in map(int32, range(-(-8 * self.itemsize // _DIGIT_BITS))):
            digit = (histograms, states, x, layout, known)
            yield self._launch(plugin.digit_kernel, blocks, *digit)
        yield self._launch(plugin.segment_kernel, blocks, met, states, x, layout)
        yield self._launch(plugin.gather_kernel, blocks, *runs[:2], met, states, x, layout)
        tiles, results = -(-self.k // _TILE), (values, indices)
        sort = (*results, *runs[:2], x, layout, int32(tiles))
        yield self._launch(plugin.tile_kernel, self.rows * tiles, *sort)
        blocks, width = -(-self.k // _THREADS), _TILE
        while width < self.k:
            merge = (*results, *runs[2:], *runs[:2], x, layout, int32(blocks), int64(width))
            yield self._launch(plugin.merge_kernel, self.rows * blocks, *merge)
            width, runs = width * _FAN, runs[2:] + runs[:2]

    def _layout(self, segments: int) -> Argument:
        """What the kernels call Rows."""
        steps = (self.inner, self.inner * self.size, self.inner * self.k)
        return int64((*steps, self.size, self.k, ceil_div(self.size, segments), segments))

    def _launch(
        self, kernel: CudaKernel, blocks: int, *arguments: Argument, shared_bytes: int = 0
    ) -> Launch:
        constants = {"CONTIGUOUS": self.inner == 1}
        return Launch(kernel, blocks, _THREADS, arguments, shared_bytes, constants)
