"""Which launches a TopK takes, and what they need."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.dims import Dim, ceil_div, dim_max, dim_min, product
from pluginkit.dtypes import int64
from pluginkit.kernels.declare import CudaKernel, Launch, Step
from pluginkit.tensors import TensorDesc, Workspace

if TYPE_CHECKING:
    from pluginkit.plugins.top_k import TopK

_THREADS = 512
_WARPS = _THREADS // 32
_LOADS = 8
_BINS = 2048
#: Keys that a block sorts in shared memory.
CAPACITY = 4096
#: Blocks that keep a large GPU busy; more rows are not split.
_BLOCKS = 264


class Problem:
    """One call's sizes.

    Attributes:
        rows: how many there are.
        size: elements of a row.
        k: how many are wanted of each.
        tactic: the plugin's.
        itemsize: bytes of an element.
        inner: how far a row's elements lie apart.
    """

    def __init__(self, plugin: TopK, x: TensorDesc, k: TensorDesc) -> None:
        axis = x.axis(plugin.axis)
        self._plugin = plugin
        self.tactic = plugin.tactic
        self.itemsize = x.dtype.itemsize
        self.inner = product(x.shape[axis + 1 :])
        self.rows = product(x.shape[:axis]) * self.inner
        self.size = x.shape[axis]
        self.k = k.values[0]

    @property
    def segments(self) -> Dim:
        """Parts of a row, equally long but for the last; 1 where splitting does not pay.

        The second round reads k elements of each: the two take the same time when there are
        sqrt(size / k) segments.
        """
        if self.tactic != "split" or not 0 < self.k <= CAPACITY or not self.rows:
            return 1
        balanced = math.isqrt(operator.index(self.size // self.k))
        segments = dim_min(ceil_div(_BLOCKS, self.rows), balanced)
        while segments > 1 and self.size - (segments - 1) * ceil_div(self.size, segments) < self.k:
            segments -= 1  # the last one must have k elements too
        return segments

    def steps(
        self, x: TensorDesc, values: TensorDesc, indices: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """The launches, none where nothing is wanted."""
        if not self.k or not self.rows:
            return ()
        plugin, segments = self._plugin, self.segments
        if self.k > CAPACITY:
            return [self._launch(plugin.large_kernel, values, indices, x, workspace)]
        if segments == 1:
            return [self._launch(plugin.kernel, values, indices, x, None)]
        return [
            self._launch(plugin.segment_kernel, workspace, x, blocks=segments),
            self._launch(plugin.kernel, values, indices, x, workspace),
        ]

    def _launch(
        self, kernel: CudaKernel, *tensors: TensorDesc | Workspace | None, blocks: Dim = 1
    ) -> Launch:
        segment = ceil_div(self.size, self.segments)
        sizes = (self.inner, self.inner * self.size, self.inner * self.k, self.size, self.k)
        rows = int64((*sizes, segment, self.segments))
        shared_bytes = CAPACITY * (self.itemsize + 4) + 4 * (_BINS + _LOADS * _WARPS + 4)
        constants = {"CONTIGUOUS": self.inner == 1}
        arguments = (*tensors, rows)
        return Launch(kernel, self.rows * blocks, _THREADS, arguments, shared_bytes, constants)


def workspace_bytes(problem: Problem) -> Dim:
    """Enough for the problem and for smaller ones: TensorRT asks at the profile's maximum alone.

    What a split takes does not grow with the sizes: more rows are split into fewer segments. There
    are at most ``_BLOCKS + rows`` segments, and they hold no more elements than x.
    """
    k = dim_min(problem.k, CAPACITY)
    rows, every = problem.rows, problem.rows * problem.size
    split = 4 * dim_min((_BLOCKS + rows) * k, every) if problem.tactic == "split" else 0
    return dim_max(split, 8 * rows * problem.k if problem.k > CAPACITY else 0)
