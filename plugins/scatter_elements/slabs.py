"""The launch of the slab variant of ScatterElements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pluginkit import (
    CudaKernel,
    Launch,
    TensorDesc,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    known,
    where,
)
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins._cuda.row_lists import LIST_ITEMSIZE, WARP_LANES

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements.scatter_problem import ScatterProblem

#: The most threads of a block, and those of one of many.
SLAB_BLOCK, _BLOCK = 1024, 256
#: With so many blocks a GPU is busy; with so many, several are on each multiprocessor.
_ENOUGH_BLOCKS, _MANY_BLOCKS = 120, 1056
#: The columns of a block: as many as leave enough blocks; and the fewest.
_COLUMNS, _LEAST_COLUMNS = (32, 16), 8
#: The loads of a thread in flight, and the elements of a block of several short slabs.
SLAB_LOADS, _SHORT = 4, 4096
#: What the kernels share of these.
SLAB_DEFINES = {"SLAB_BLOCK": SLAB_BLOCK, "SLAB_LOADS": SLAB_LOADS}

#: With this many updates slabs pay, and three launches are faster than two.
MANY_UPDATES = 2**17
#: The blocks that each take a slab, at least, and where atomics reduce vectors of equal indices.
LEAST_SLABS, LEAST_SLABS_OF_VECTORS = 24, 96
#: From so many updates of an element on, blocks find the last one of each from the end.
_LAST_UPDATES = 16
#: A block counts updates in 32 bits, and some more than it has.
_MOST_COUNTED = 2**30
#: Of so many updates of an element compare-and-swaps wait for each other: fewer blocks take slabs
#: of up to so many updates.
MEETING_UPDATES, _MAX_IN_SLAB = 16, 2**16


@dataclass(frozen=True)
class Slabs:
    """The columns along the axis, and how blocks share them.

    Attributes:
        problem: the sizes of the call.
        shared_bytes: the shared memory of a block, at most.
    """

    problem: ScatterProblem
    shared_bytes: int

    @cached_property
    def most_columns(self) -> int:
        """The columns whose sums fit into shared memory."""
        return self.shared_bytes // self.problem.tile_bytes()

    @cached_property
    def columns(self) -> int:
        """The columns of a block; all of an outer index, where these are many and fit."""
        outer, inner, most = self.problem.outer, self.problem.inner, self.most_columns
        wanted = _LEAST_COLUMNS
        for columns in reversed(_COLUMNS):
            blocks = outer * -(-inner // columns)
            wanted = where(blocks >= _ENOUGH_BLOCKS, columns, wanted)
        whole = where(most >= _LEAST_COLUMNS, most // _LEAST_COLUMNS * _LEAST_COLUMNS, most)
        few = where(outer >= _ENOUGH_BLOCKS, where(inner <= most, inner, 0), 0)
        return known(dim_max(dim_min(inner, dim_min(wanted, whole)), few))

    @cached_property
    def groups(self) -> int:
        """The blocks that share the columns of an outer index."""
        return -(-self.problem.inner // self.columns)

    @property
    def fits_some(self) -> bool:
        """Whether the sums of enough columns fit, if the axis is not the last dimension."""
        inner = self.problem.inner
        fewest = where(inner < _LEAST_COLUMNS, inner, _LEAST_COLUMNS)
        return inner != 1 and self.most_columns >= fewest

    def suit_last(self) -> bool:
        """Whether blocks find the last update of each element faster than all are written."""
        problem = self.problem
        if not problem.keeps_one or not self.fits_some:
            return False
        are_many = problem.updates_size >= MANY_UPDATES
        meet = problem.count >= _LAST_UPDATES * problem.axis_size
        are_counted = problem.count * self.columns <= _MOST_COUNTED
        return are_many and meet and are_counted and problem.outer * self.groups >= LEAST_SLABS

    def suit(self) -> bool:
        """Whether this is faster than atomics in memory, and than lists of rows."""
        problem = self.problem
        if not self.fits_some:
            return False
        if problem.swaps and problem.count >= MEETING_UPDATES * problem.axis_size:
            return problem.count * self.columns <= _MAX_IN_SLAB
        are_many = problem.updates_size >= MANY_UPDATES and 2 * problem.count >= problem.axis_size
        has_vectors = problem.row_vector_bytes > 1 and problem.takes_vectors
        least = LEAST_SLABS_OF_VECTORS if has_vectors else LEAST_SLABS
        return are_many and problem.count > 1 and problem.outer * self.groups >= least

    def launch(self, kernel: CudaKernel, tensors: Sequence[TensorDesc]) -> Launch:
        """Return the launch of the kernel."""
        problem, columns = self.problem, self.columns
        elements = known(dim_max(problem.axis_size, problem.count)) * columns
        several = dim_min(problem.outer // _MANY_BLOCKS, _SHORT // elements)
        several = known(dim_max(dim_min(several, self.most_columns // columns), 1))
        slabs = where(columns == problem.inner, several, 1)
        blocks = ceil_div(problem.outer, slabs) * self.groups
        warps = ceil_div(slabs * elements, SLAB_LOADS * WARP_LANES)
        most = where(blocks >= _MANY_BLOCKS, _BLOCK, SLAB_BLOCK)
        return Launch(
            kernel,
            grid=blocks,
            block=dim_min(dim_max(warps, 2) * WARP_LANES, most),
            args=(
                *tensors,
                int32(problem.axis_size),
                divisor_of(problem.count),
                int32(problem.inner),
                divisor_of(columns),
                int32(slabs),
                int32(problem.outer),
            ),
            shared_bytes=slabs * columns * problem.tile_bytes(),
        )

    def launch_last(self, kernel: CudaKernel, tensors: Sequence[TensorDesc]) -> Launch:
        """Return the launch of the kernel that finds the last update of each element."""
        problem, columns = self.problem, self.columns
        warps = ceil_div(problem.count * columns, SLAB_LOADS * WARP_LANES)
        return Launch(
            kernel,
            grid=problem.outer * self.groups,
            block=dim_min(warps * WARP_LANES, SLAB_BLOCK),
            args=(
                *tensors,
                *map(int32, (problem.axis_size, problem.count, problem.inner)),
                divisor_of(columns),
            ),
            shared_bytes=columns * problem.axis_size * LIST_ITEMSIZE,
        )
