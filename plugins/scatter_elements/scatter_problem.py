"""The sizes of a call of ScatterElements, which decide its variant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from pluginkit import DType, TensorDesc, float32, known, where
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.row_lists import (
    LIST_ITEMSIZE,
    MAX_LISTED,
    MAX_ROW,
    VECTOR_BYTES,
    at_least,
)
from pluginkit.plugins.scatter_elements.slabs import Slabs

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

#: The shared memory that a block can have on every supported GPU.
SHARED_BYTES = 64 * 1024
#: With this many blocks a GPU is busy.
ENOUGH_BLOCKS = 128
#: The columns of a warp of the column variant.
COLUMNS = 32
#: With this many updates of single elements, blocks combine those that meet; with this many,
#: and so many of one, where elements are few.
MANY_ELEMENTS, MANY_OF_FEW, UPDATES_OF_ONE = 2**21, 2**17, 64
#: From so many bytes on, lists of rows of vectors cost less than a swap for each element.
_WIDE_BYTES = 128
#: A block combines the updates of up to so many elements; with two places of updates, which are in
#: shared memory as well, they fill every multiple of a KiB.
COMBINED_CELLS = 2**12 - 2
#: The bytes of a link in a tile's lists, and the most updates that such links can address.
TILE_LINK_BYTES = 2
MAX_LISTED_IN_TILE = 2 ** (8 * TILE_LINK_BYTES) - 1


@dataclass(frozen=True)
class ScatterProblem:
    """The sizes of a call, which decide the variant.

    Attributes:
        outer: the product of data's dimensions before the axis.
        axis_size: data's dimension along the axis.
        inner: the product of data's dimensions after the axis.
        count: the updates along the axis.
        update_rows: the rows of updates: what lies inside the axis is a row.
        data_size: the number of elements of data.
        updates_size: the number of updates.
        is_covering: whether updates are as large as data in every dimension but the axis.
        itemsize: the bytes of an element of data.
        index_itemsize: the bytes of an index.
        accumulator_itemsize: the bytes of the type in which updates are combined.
        needs_order: whether the order of the updates changes the result and has to be fixed.
        swaps: whether a reduction in memory takes compare-and-swaps.
        takes_vectors: whether one in memory may take a vector at once.
        keeps_one: whether an element keeps one of its updates instead of reducing them.
    """

    outer: int
    axis_size: int
    inner: int
    count: int
    update_rows: int
    data_size: int
    updates_size: int
    is_covering: bool
    itemsize: int
    index_itemsize: int
    accumulator_itemsize: int
    needs_order: bool
    swaps: bool
    takes_vectors: bool
    keeps_one: bool

    @property
    def sum_itemsize(self) -> int:
        """The bytes of a sum in shared memory, which is a word or more."""
        return max(self.accumulator_itemsize, 4)

    def tile_bytes(self, rows: int = 1) -> int:
        """Return the shared memory of a tile of some rows: a sum for each cell."""
        return rows * self.axis_size * self.sum_itemsize

    def ordered_tile_bytes(self, rows: int = 1) -> int:
        """Return the shared memory of an ordered tile of some rows.

        It has a head for each cell, and for cells of long lists, and a link and a value for each
        update.
        """
        cells, updates = rows * self.axis_size, rows * self.count
        heads = _whole_vectors(cells * LIST_ITEMSIZE)
        links = _whole_vectors(updates * TILE_LINK_BYTES)
        return heads + links + _whole_vectors(updates * self.itemsize) + VECTOR_BYTES

    @property
    def column_bytes(self) -> int:
        """The shared memory for the accumulators of a warp of columns."""
        return self.axis_size * COLUMNS * self.accumulator_itemsize

    @property
    def column_warps(self) -> int:
        """The warps of the column variant."""
        return self.outer * -(-self.inner // COLUMNS)

    @cached_property
    def slabs(self) -> Slabs:
        """The columns along the axis, and how blocks of the slab variants share them."""
        return Slabs(self, SHARED_BYTES)

    @property
    def slab_bytes(self) -> int:
        """The bytes of data along the axis and inside it, which updates reach at random."""
        return self.axis_size * self.inner * self.itemsize

    @property
    def output_rows(self) -> int:
        """The rows of data."""
        return self.outer * self.axis_size

    @property
    def has_rows(self) -> bool:
        """Whether there are rows, of a vector or more, of which some may go to rows of data."""
        is_wide = self.inner * self.itemsize >= VECTOR_BYTES and self.inner <= MAX_ROW
        return is_wide and self.output_rows + 2 * self.update_rows <= MAX_LISTED

    @property
    def has_many_elements(self) -> bool:
        """Whether there are so many updates that blocks look for those that meet."""
        return self.updates_size >= MANY_ELEMENTS

    @property
    def may_combine(self) -> bool:
        """Whether blocks may combine updates that meet, at this size of data or a smaller one."""
        return self.has_many_elements or self.updates_size >= MANY_OF_FEW

    @property
    def has_few_cells(self) -> bool:
        """Whether a block combines many updates of most elements of data in shared memory."""
        least = at_least(MANY_OF_FEW, UPDATES_OF_ONE * self.data_size)
        return self.updates_size >= least and self.data_size <= 2 * COMBINED_CELLS

    @property
    def suits_atomics(self) -> bool:
        """Whether lists of rows save less than they cost."""
        nbytes = self.inner * self.itemsize
        is_vector = self.row_vector_bytes == VECTOR_BYTES
        are_long = self.update_rows > row_lists.LONGEST_AVERAGE * self.output_rows
        are_few = row_lists.are_few(self.update_rows, self.output_rows, nbytes)
        if self.swaps and is_vector and nbytes >= _WIDE_BYTES and not are_long:
            return self.has_few_cells
        return self.has_few_cells or are_few or (is_vector and are_long and not self.swaps)

    @property
    def row_vector_bytes(self) -> int:
        """The bytes of a load of a row: a vector if rows are multiples of one, or 1, an element."""
        rest = self.inner * self.itemsize % VECTOR_BYTES
        index_rest = self.inner * self.index_itemsize % VECTOR_BYTES
        return VECTOR_BYTES if rest + index_rest == 0 else 1


def problem_of(
    plugin: ScatterElements, data: TensorDesc, indices: TensorDesc, updates: TensorDesc
) -> ScatterProblem:
    """Return the sizes of a call with static shapes."""
    axis = data.axis(plugin.axis)
    has_order = plugin.reduction == "none" or (
        data.dtype.is_floating and plugin.reduction in ("add", "mul")
    )
    shape = [known(dim) for dim in data.shape]
    others = [dim for dim in range(len(shape)) if dim != axis]
    # A sum needs one comparison for all dimensions; an exported library has a branch for each.
    smaller = sum(where(known(updates.shape[dim]) == shape[dim], 0, 1) for dim in others)
    swaps = _swaps(plugin.reduction, data.dtype)
    return ScatterProblem(
        outer=prod(shape[:axis]),
        axis_size=shape[axis],
        inner=prod(shape[axis + 1 :]),
        count=known(updates.shape[axis]),
        update_rows=prod(known(dim) for dim in updates.shape[: axis + 1]),
        data_size=known(data.size),
        updates_size=known(updates.size),
        is_covering=smaller == 0,
        itemsize=data.dtype.itemsize,
        index_itemsize=indices.dtype.itemsize,
        accumulator_itemsize=4 if data.dtype.is_floating else data.dtype.itemsize,
        needs_order=plugin.deterministic and has_order,
        swaps=swaps,
        takes_vectors=not swaps and plugin.reduction not in ("max", "min"),
        keeps_one=plugin.reduction == "none",
    )


def _swaps(reduction: str, dtype: DType) -> bool:
    if dtype is float32 and reduction in ("max", "min"):
        return False  # the bits of float32 are in the order of integers
    if dtype.is_floating:
        return reduction not in ("none", "add")
    return reduction == "mul" or (reduction != "none" and dtype.itemsize == 1)


def _whole_vectors(nbytes: int) -> int:
    return -(-nbytes // VECTOR_BYTES) * VECTOR_BYTES
