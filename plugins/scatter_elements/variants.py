"""Choose the variant of ScatterElements for shapes and types.

=========  ======================================================================================
variant    when
=========  ======================================================================================
elements   no other variant applies; float sums and products run in any order
tile       the axis is the last dimension, and its cells and updates fit into shared memory
column     there are at least 32 values inside the axis, their accumulators fit into shared
           memory, and there are enough columns to fill a GPU
rows       the values inside the axis come in multiples of 16 bytes, and there are many updates.
           The device finds out whether their indices are constant, as in a graph network. If they
           are not, and for rows with very many updates, the elements kernel does the work
lists      deterministic=True, the order of updates matters, and neither tile nor column applies
=========  ======================================================================================

All variants except elements and lists need updates as large as data in all dimensions but the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from pluginkit import InputError, TensorDesc, known, where
from pluginkit.plugins._cuda.row_lists import LIST_ITEMSIZE, MAX_LISTED, MAX_ROW, VECTOR_BYTES

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

KernelVariant = Literal["elements", "tile", "column", "rows", "lists"]

#: The shared memory that a block can have on every supported GPU.
SHARED_BYTES = 64 * 1024
#: The columns of a block of the column variant, which is a warp.
COLUMNS = 32
#: With this many blocks a GPU is busy.
ENOUGH_BLOCKS = 128
#: With this many updates three launches are faster than two.
MANY_UPDATES = 2**17
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
        is_covering: whether updates are as large as data in every dimension but the axis.
        itemsize: the bytes of an element of data.
        index_itemsize: the bytes of an index.
        accumulator_itemsize: the bytes of the type in which updates are combined.
        needs_order: whether the order of the updates changes the result and has to be fixed.
    """

    outer: int
    axis_size: int
    inner: int
    count: int
    is_covering: bool
    itemsize: int
    index_itemsize: int
    accumulator_itemsize: int
    needs_order: bool

    @property
    def updates_size(self) -> int:
        """The number of updates, if they cover data."""
        return self.outer * self.count * self.inner

    @property
    def tile_bytes(self) -> int:
        """The shared memory of a tile: a head for each cell, a link and a value for each update."""
        heads = _whole_vectors(self.axis_size * LIST_ITEMSIZE)
        links = _whole_vectors(self.count * TILE_LINK_BYTES)
        return heads + links + self.count * self.itemsize

    @property
    def column_bytes(self) -> int:
        """The shared memory for the accumulators of a block of columns."""
        return self.axis_size * COLUMNS * self.accumulator_itemsize

    @property
    def column_blocks(self) -> int:
        """The blocks of the column variant."""
        return self.outer * -(-self.inner // COLUMNS)

    @property
    def row_lists(self) -> int:
        """The number of list heads and links of the rows variant."""
        return self.outer * (self.axis_size + self.count)

    @property
    def is_vectorised_tile(self) -> bool:
        """Whether tiles load vectors: rows are multiples of one, and there are enough tiles."""
        data_bytes, index_bytes = self.axis_size * self.itemsize, self.count * self.index_itemsize
        is_aligned = data_bytes % VECTOR_BYTES == 0 and index_bytes % VECTOR_BYTES == 0
        return is_aligned and self.outer >= ENOUGH_BLOCKS

    @property
    def has_vector_rows(self) -> bool:
        """Whether rows of values and rows of indices are multiples of a vector."""
        sizes = self.inner * self.itemsize, self.inner * self.index_itemsize
        return all(size % VECTOR_BYTES == 0 for size in sizes)


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
    return ScatterProblem(
        outer=prod(shape[:axis]),
        axis_size=shape[axis],
        inner=prod(shape[axis + 1 :]),
        count=known(updates.shape[axis]),
        is_covering=smaller == 0,
        itemsize=data.dtype.itemsize,
        index_itemsize=indices.dtype.itemsize,
        accumulator_itemsize=4 if data.dtype.is_floating else data.dtype.itemsize,
        needs_order=plugin.deterministic and has_order,
    )


def choose(problem: ScatterProblem) -> KernelVariant:
    """Return the variant for a problem by the table above.

    Errors:
        deterministic: the problem is too large for the lists that deterministic=True needs.
    """
    if problem.is_covering and problem.updates_size and problem.axis_size:
        if problem.inner == 1 and _fits_tile(problem):
            return "tile"
        if _fits_column(problem):
            return "column"
        if _suits_rows(problem) and not problem.needs_order:
            return "rows"
    if not problem.needs_order:
        return "elements"
    if max(problem.updates_size, problem.outer * problem.axis_size * problem.inner) > MAX_LISTED:
        raise InputError(
            f"deterministic=True on {problem.updates_size} updates; "
            f"expected at most {MAX_LISTED}, and no more elements of data.",
            code="deterministic",
            fix="leave deterministic out, or split the operation.",
        )
    return "lists"


def _fits_tile(problem: ScatterProblem) -> bool:
    return problem.tile_bytes <= SHARED_BYTES and problem.count <= MAX_LISTED_IN_TILE


def _fits_column(problem: ScatterProblem) -> bool:
    is_wide = problem.inner >= COLUMNS and problem.column_blocks >= ENOUGH_BLOCKS
    return is_wide and problem.column_bytes <= SHARED_BYTES


def _suits_rows(problem: ScatterProblem) -> bool:
    is_large = problem.updates_size >= MANY_UPDATES and problem.row_lists <= MAX_LISTED
    return is_large and problem.has_vector_rows and problem.inner <= MAX_ROW


def _whole_vectors(nbytes: int) -> int:
    return -(-nbytes // VECTOR_BYTES) * VECTOR_BYTES
