"""Choose the variant of ScatterElements for shapes and types.

=========  ======================================================================================
variant    when
=========  ======================================================================================
elements   no other variant applies; float sums and products run in any order. Blocks that find few
           elements among many updates combine those of one element in shared memory. Where there
           are many updates of each 16-bit element, the sums are float32
tile       the axis is the last dimension, and its sums fit into shared memory; a block takes a
           row, or several short ones. A single block takes few updates, more if they would swap
column     there are at least 32 values inside the axis, their accumulators fit into shared
           memory, and there are enough columns to fill a GPU, unless there is one row of vectors
slab       the sums of some columns fit into shared memory, and there are many updates, and half
           as many as elements, or more of each if they swap; a block takes these columns
last       the reduction is none, and otherwise it is like slab, for many updates of each element; a
           block finds the last one of each, deterministic=True or not
rows       there are at least 16 bytes inside the axis, and many updates, unless the cache holds
           data; where atomics swap it holds that of short rows, or of very many updates. The
           device finds out which rows of updates have constant indices, as all have in a graph
           network: they are combined without atomics, but for those of a row that gets very many
ordered    deterministic=True, the order of updates matters, the axis is the last dimension, and
_tile      its cells and updates fit into shared memory
ordered    deterministic=True, the order of updates matters, and rows would apply to any number:
_rows      they are sorted by the row that they go to. The elements of those whose indices are not
           constant have lists for each element of data
ordered    deterministic=True, the order of updates matters, and there are less than 16 bytes
_elements  inside the axis: single elements are sorted by the element that they go to
lists      deterministic=True, the order of updates matters, and nothing else applies
=========  ======================================================================================

The tiles, column, slab, last and both of rows need updates as large as data but for the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from pluginkit import DType, InputError, TensorDesc, float32, known, where
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.row_lists import (
    LIST_ITEMSIZE,
    MAX_LISTED,
    MAX_ROW,
    VECTOR_BYTES,
    at_least,
)
from pluginkit.plugins.scatter_elements.slabs import MANY_UPDATES, MEETING_UPDATES, Slabs

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

KernelVariant = Literal[
    "elements",
    "tile",
    "ordered_tile",
    "column",
    "slab",
    "last",
    "rows",
    "ordered_rows",
    "ordered_elements",
    "lists",
]

#: The shared memory that a block can have on every supported GPU.
SHARED_BYTES = 64 * 1024
#: The columns of a warp of the column variant.
COLUMNS = 32
#: With this many blocks a GPU is busy.
ENOUGH_BLOCKS = 128
#: The most cells of a tile, if there are too few tiles to keep a GPU busy, and its most updates,
#: fewer where not many meet in an element, and where each needs no compare-and-swap in memory.
MAX_LONE_TILE, MAX_IN_LONE_TILE, SOME_IN_LONE_TILE, FEW_IN_LONE_TILE = 2**12, 2**14, 2**12, 2**9
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

    @property
    def slabs(self) -> Slabs:
        """The columns along the axis, and how blocks of the slab variant share them."""
        sizes = self.outer, self.axis_size, self.inner, self.count
        return Slabs(*sizes, self.sum_itemsize, SHARED_BYTES)

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


def choose(problem: ScatterProblem) -> KernelVariant:
    """Return the variant for a problem by the table above.

    Errors:
        deterministic: the problem is too large for the lists that deterministic=True needs.
    """
    if problem.is_covering and problem.updates_size and problem.axis_size:
        if problem.inner == 1 and problem.needs_order and _fits_ordered_tile(problem):
            return "ordered_tile"
        if problem.inner == 1 and not problem.needs_order and _fits_tile(problem):
            return "tile"
        if _fits_column(problem):
            return "column"
        if problem.slabs.suit_last(problem):
            return "last"
        if not problem.needs_order and problem.slabs.suit(problem):
            return "slab"
        if problem.has_rows and problem.needs_order:
            return _in_order(problem, "ordered_rows")
        if problem.has_rows and problem.updates_size >= MANY_UPDATES and not problem.suits_atomics:
            return "rows"
    if not problem.needs_order:
        return "elements"
    is_wide = problem.inner * problem.itemsize >= VECTOR_BYTES
    return _in_order(problem, "lists" if is_wide else "ordered_elements")


def _in_order(problem: ScatterProblem, variant: KernelVariant) -> KernelVariant:
    if max(problem.updates_size, problem.data_size) > MAX_LISTED:
        raise InputError(
            f"deterministic=True on {problem.updates_size} updates; "
            f"expected at most {MAX_LISTED}, and no more elements of data.",
            code="deterministic",
            fix="leave deterministic out, or split the operation.",
        )
    return variant


def _fits_tile(problem: ScatterProblem) -> bool:
    do_meet = problem.count > 2 * MEETING_UPDATES * problem.axis_size
    of_swaps = where(do_meet, MAX_IN_LONE_TILE, SOME_IN_LONE_TILE)
    most = of_swaps if problem.swaps else FEW_IN_LONE_TILE
    are_few = problem.count <= most and problem.axis_size <= MAX_LONE_TILE
    are_enough = problem.outer >= ENOUGH_BLOCKS or are_few
    return problem.tile_bytes() <= SHARED_BYTES and are_enough


def _fits_ordered_tile(problem: ScatterProblem) -> bool:
    fits = problem.ordered_tile_bytes() <= SHARED_BYTES
    return fits and problem.count <= MAX_LISTED_IN_TILE


def _fits_column(problem: ScatterProblem) -> bool:
    is_wide = problem.inner >= COLUMNS and problem.column_warps >= ENOUGH_BLOCKS
    is_one = problem.axis_size * problem.count == 1 and not problem.needs_order
    is_vector = is_one and not problem.swaps and problem.row_vector_bytes > 1
    return is_wide and not is_vector and problem.column_bytes <= SHARED_BYTES


def _swaps(reduction: str, dtype: DType) -> bool:
    if dtype is float32 and reduction in ("max", "min"):
        return False  # the bits of float32 are in the order of integers
    if dtype.is_floating:
        return reduction not in ("none", "add")
    return reduction == "mul" or (reduction != "none" and dtype.itemsize == 1)


def _whole_vectors(nbytes: int) -> int:
    return -(-nbytes // VECTOR_BYTES) * VECTOR_BYTES
