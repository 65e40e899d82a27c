"""Which kernels a ScatterElements gets, by shape and type.

=========  ======================================================================================
variant    when
=========  ======================================================================================
elements   whatever no other variant takes; float sums and products in any order
tile       the axis is the last dimension (of size > 1), and its cells and updates fit in shared
           memory
column     at least 32 values inside the axis, whose accumulators fit in shared memory, and enough
           columns to fill a GPU
rows       values inside the axis come in multiples of 16 bytes, and there are many updates.
           Whether their indices are constant, as in a graph network, is found out on the device;
           where they are not, and for rows with very many updates, elements takes over
lists      deterministic=True, where neither tile nor column applies and the order matters
=========  ======================================================================================

All but elements and lists need updates to cover data off the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from pluginkit import TensorDesc, TensorError
from pluginkit.plugins._cuda.row_lists import MAX_LISTED, MAX_ROW, VECTOR_BYTES

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

Variant = Literal["elements", "tile", "column", "rows", "lists"]

#: Shared memory of a block that every supported GPU has.
SHARED_BYTES = 64 * 1024
#: Threads of a warp, and columns of a block.
COLUMNS = 32
#: Blocks that keep a GPU busy.
ENOUGH_BLOCKS = 128
#: Updates from which three launches in place of two pay.
MANY_UPDATES = 2**17
#: Positions in lists in a tile are 16-bit integers.
MAX_LISTED_IN_TILE = 2**16 - 1


@dataclass(frozen=True)
class Problem:
    """The sizes that decide.

    Attributes:
        outer, axis_size, inner: data's elements before, along and after the axis.
        count: updates along the axis.
        is_covering: whether updates are as large as data off the axis.
        itemsize, index_itemsize, accumulator_itemsize: bytes of an element.
        needs_order: whether the result depends on the order of updates, and must not.
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
        """Elements of updates, when they cover data."""
        return self.outer * self.count * self.inner

    @property
    def tile_bytes(self) -> int:
        """Shared memory of a tile: a head for each cell, a link and a value for each update."""
        heads, links = -(-self.axis_size // 4) * 16, -(-self.count // 8) * 16
        return heads + links + self.count * self.itemsize

    @property
    def column_bytes(self) -> int:
        """Shared memory of a block of columns: its accumulators."""
        return self.axis_size * COLUMNS * self.accumulator_itemsize

    @property
    def column_blocks(self) -> int:
        """Blocks of columns."""
        return self.outer * -(-self.inner // COLUMNS)

    @property
    def row_lists(self) -> int:
        """List heads and links that the rows variant needs."""
        return self.outer * (self.axis_size + self.count)

    @property
    def is_vectorised_tile(self) -> bool:
        """Whether tiles go by vectors: rows are multiples of one, and tiles keep a GPU busy."""
        data_bytes, index_bytes = self.axis_size * self.itemsize, self.count * self.index_itemsize
        is_aligned = data_bytes % VECTOR_BYTES == 0 and index_bytes % VECTOR_BYTES == 0
        return is_aligned and self.outer >= ENOUGH_BLOCKS

    @property
    def has_vector_rows(self) -> bool:
        """Whether rows of values and of indices come in multiples of a vector."""
        sizes = self.inner * self.itemsize, self.inner * self.index_itemsize
        return all(size % VECTOR_BYTES == 0 for size in sizes)


def problem_of(
    plugin: ScatterElements, data: TensorDesc, indices: TensorDesc, updates: TensorDesc
) -> Problem:
    """The sizes of one concrete call."""
    axis = data.axis(plugin.axis)
    has_order = plugin.reduction == "none" or (
        data.dtype.is_floating and plugin.reduction in ("add", "mul")
    )
    shape = [int(dim) for dim in data.shape]
    others = [dim for dim in range(len(shape)) if dim != axis]
    return Problem(
        outer=prod(shape[:axis]),
        axis_size=shape[axis],
        inner=prod(shape[axis + 1 :]),
        count=int(updates.shape[axis]),
        is_covering=all(updates.shape[dim] == shape[dim] for dim in others),
        itemsize=data.dtype.itemsize,
        index_itemsize=indices.dtype.itemsize,
        accumulator_itemsize=4 if data.dtype.is_floating else data.dtype.itemsize,
        needs_order=plugin.deterministic and has_order,
    )


def choose(problem: Problem) -> Variant:
    """The variant for a problem, as the table above says.

    Errors:
        PK144: too large for the lists that deterministic=True needs.
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
        raise TensorError(
            "PK144",
            f"ScatterElements: deterministic=True on {problem.updates_size} updates; "
            f"expected at most {MAX_LISTED}, and no more elements of data.",
            fix="leave deterministic out, or split the operation.",
        )
    return "lists"


def _fits_tile(problem: Problem) -> bool:
    return problem.tile_bytes <= SHARED_BYTES and problem.count <= MAX_LISTED_IN_TILE


def _fits_column(problem: Problem) -> bool:
    is_wide = problem.inner >= COLUMNS and problem.column_blocks >= ENOUGH_BLOCKS
    return is_wide and problem.column_bytes <= SHARED_BYTES


def _suits_rows(problem: Problem) -> bool:
    is_large = problem.updates_size >= MANY_UPDATES and problem.row_lists <= MAX_LISTED
    return is_large and problem.has_vector_rows and problem.inner <= MAX_ROW
