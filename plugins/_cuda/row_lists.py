"""The host side of row_lists.cuh: the lists in the workspace, and the launches over rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

from pluginkit import (
    CudaKernel,
    Dim,
    Fill,
    KernelConstant,
    Launch,
    TensorDesc,
    Workspace,
    int32,
    where,
)
from pluginkit.plugins._cuda.reductions import Reduction

#: Bytes of a vector load.
VECTOR_BYTES = 16
#: The bytes of a load of a row, which is a multiple of them; 1 stands for one element.
ROW_UNITS = (VECTOR_BYTES, 4, 1)
#: List heads and links are positions of 32 bits.
LIST_ITEMSIZE = 4
MAX_LISTED = 2**31 - 1
#: The initial value of every byte of the state and the heads.
EMPTY_BYTE = 0xFF
#: The threads of a warp.
WARP_LANES = 32
#: The size of RowState in the workspace: a vector, so that the lists are aligned to vectors.
STATE_BYTES = VECTOR_BYTES

#: The constants that row_lists.cuh and reduce.cuh share with Python.
DEFINES = {
    "Reduction": Reduction,
    "VECTOR_BYTES": VECTOR_BYTES,
    "EMPTY_BYTE": EMPTY_BYTE,
    "STATE_BYTES": STATE_BYTES,
    "WARP_LANES": WARP_LANES,
}

#: The elements of the longest row whose pieces the second dimension of a grid can count.
MAX_ROW = 2**23
_BLOCK = 256
#: How many vectors of its piece of a row a thread takes, or fewer if there would be too few threads
#: to keep a GPU busy.
_MOST_VECTORS, _ENOUGH_THREADS = 8, 2**19
_GRID_Y = 65535
#: The most blocks that look for rows of updates which are left over.
_LEFTOVER_BLOCKS = 528


@dataclass(frozen=True)
class RowLists:
    """The lists in the workspace.

    The workspace holds the state, a list head for each output row, and a link and a target for each
    row of updates.

    Attributes:
        workspace: all of it.
        rows: the output rows.
        updates: the rows of updates.
    """

    workspace: Workspace
    rows: int
    updates: int

    @staticmethod
    @overload
    def nbytes(rows: int, updates: int) -> int: ...

    @staticmethod
    @overload
    def nbytes(rows: Dim, updates: Dim) -> Dim: ...

    @staticmethod
    def nbytes(rows: Dim, updates: Dim) -> Dim:
        """Return the bytes for this many output rows and rows of updates."""
        return STATE_BYTES + (rows + 2 * updates) * LIST_ITEMSIZE

    @property
    def heads(self) -> Workspace:
        """The head of each output row's list."""
        return self.workspace.at(STATE_BYTES)

    @property
    def links(self) -> Workspace:
        """For each row of updates, the next one in its list."""
        return self.heads.at(self.rows * LIST_ITEMSIZE)

    @property
    def targets(self) -> Workspace:
        """For each row of updates, its output row, or a negative number."""
        return self.links.at(self.updates * LIST_ITEMSIZE)

    @property
    def end(self) -> Workspace:
        """What lies behind the lists."""
        return self.targets.at(self.updates * LIST_ITEMSIZE)

    @property
    def empty(self) -> Fill:
        """The step that empties every list."""
        return Fill(self.workspace.first(self.nbytes(self.rows, 0)), EMPTY_BYTE)


def gather(
    kernel: CudaKernel,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc],
    lists: RowLists,
    inner: int,
    vector_bytes: int = VECTOR_BYTES,
    **constants: KernelConstant,
) -> Launch:
    """Return the launch of gather_rows.

    Args:
        kernel: the plugin's instance of it.
        tensors: output, data and updates, taken as rows.
        lists: the lists, which an earlier launch has filled.
        inner: the elements of a row, at most MAX_ROW.
        vector_bytes: the bytes of a load, of which a row is a multiple; at least one element.
        constants: the kernel's constants except LANES.
    """
    grid = row_grid(lists.rows, inner, max(vector_bytes // tensors[0].dtype.itemsize, 1))
    return Launch(
        kernel,
        grid=grid.blocks,
        block=_BLOCK,
        args=(
            *tensors,
            lists.workspace,
            lists.heads,
            lists.links,
            int32(lists.rows),
            int32(inner),
            int32(grid.piece),
        ),
        constants={"LANES": grid.lanes, **constants},
    )


@dataclass(frozen=True)
class RowGrid:
    """How threads take rows.

    Attributes:
        lanes: how many threads of a warp take a row, or a piece of it, together.
        blocks: the grid: blocks of rows, and pieces of a row.
        piece: the elements of a piece.
        vector_pieces: the pieces of a row if a thread takes one vector.
    """

    lanes: int
    blocks: tuple[int, int]
    piece: int
    vector_pieces: int


def row_grid(rows: int, inner: int, elements: int, lanes: int | None = None) -> RowGrid:
    """Return how threads take rows of ``inner`` elements, in vectors of some elements.

    So many threads as ``lanes`` says take a row together, or as many as suit it.
    """
    vectors = inner // elements
    lanes = lanes or lanes_for(vectors)
    pieces = groups_of(vectors, lanes)
    each = at_most(_MOST_VECTORS, pieces // groups_of(_ENOUGH_THREADS, at_least(1, rows) * lanes))
    each = at_least(groups_of(pieces, _GRID_Y), at_least(1, each))
    blocks = groups_of(rows * lanes, _BLOCK), groups_of(pieces, each)
    return RowGrid(lanes, blocks, lanes * each * elements, at_most(_GRID_Y, pieces))


@dataclass(frozen=True)
class LeftoverGrid:
    """How threads look for rows of updates that are left over; all blocks run at once.

    Attributes:
        blocks: the grid: blocks of rows of updates, and pieces of a row.
        stretch: the rows of updates that a group of threads takes.
    """

    blocks: tuple[int, int]
    stretch: int


def leftover_grid(updates: int, grid: RowGrid) -> LeftoverGrid:
    """Return how threads look through the rows of updates, in groups as the grid has them."""
    pieces = grid.vector_pieces
    most, stretches = 1, groups_of(updates, _BLOCK)
    # Quotients of constants: an exported library would ask whether another divisor is zero.
    for limit in (64, 32, 16, 8, 4, 2, 1):
        wanted = _LEFTOVER_BLOCKS // limit
        most = where(pieces <= limit, wanted, most)
        stretches = where(pieces <= limit, groups_of(updates, wanted * _BLOCK), stretches)
    blocks = at_most(most, groups_of(updates, _BLOCK))
    return LeftoverGrid((blocks, pieces), grid.lanes * stretches)


def groups_of(items: int, each: int) -> int:
    """Return how many groups of ``each`` items there are, the last one perhaps smaller."""
    return -(-items // each)


def at_most(limit: int, size: int) -> int:
    """Return the smaller one. An exported library has no branch for it, as it has for ``min``."""
    return where(size < limit, size, limit)


def at_least(limit: int, size: int) -> int:
    """Return the larger one, in the same way."""
    return where(size > limit, size, limit)


def all_hold(*conditions: bool) -> bool:
    """Whether all conditions hold. An exported library has one branch, not one for each."""
    return sum(where(condition, 1, 0) for condition in conditions) == len(conditions)


def lanes_for(items: int) -> int:
    """Return how many threads of a warp take a row of this many items together."""
    return next((lanes for lanes in (4, 8, 16) if items <= lanes), WARP_LANES)


def unit_of(nbytes: int) -> int:
    """Return the largest of ROW_UNITS that divides the bytes of a row."""
    return next(unit for unit in ROW_UNITS if nbytes % unit == 0)
