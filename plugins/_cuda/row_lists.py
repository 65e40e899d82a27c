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
#: At least so many updates of a row of data are taken by the threads that write it.
_SHORT_LIST = 8
#: One among so many updates begins a segment of a longer list.
_SEGMENT = 8
#: The vectors of a row that a thread takes together, if they are shorter than VECTOR_BYTES.
_SHORT_VECTORS = 4
#: The threads of a block that takes segments, and the updates among which they begin.
_FINISHING_BLOCK, _FINISHED_UPDATES = 128, 1536

#: The constants that row_lists.cuh and reduce.cuh share with Python.
DEFINES = {
    "Reduction": Reduction,
    "VECTOR_BYTES": VECTOR_BYTES,
    "EMPTY_BYTE": EMPTY_BYTE,
    "STATE_BYTES": STATE_BYTES,
    "WARP_LANES": WARP_LANES,
    "SHORT_VECTORS": _SHORT_VECTORS,
    "SEGMENT": _SEGMENT,
    "FINISHING_BLOCK": _FINISHING_BLOCK,
}

#: The longest average list for which lists are used.
LONGEST_AVERAGE = 16
#: With at most so many bytes of updates, of data that stays in the L2 cache of a large GPU between
#: a copy and the atomics, these are faster than lists where one reduces a vector.
FEW_BYTES, CACHED_BYTES = 2**26, 2**25
#: The elements of the longest row whose pieces the second dimension of a grid can count.
MAX_ROW = 2**23
_BLOCK = 256
#: The threads of a block of gather_rows: few, since all wait for the one with the longest list.
_GATHERING_BLOCK = 128
#: How many short vectors together of its piece of a row a thread takes, or fewer if there would be
#: too few threads to keep a GPU busy.
_MOST_SHORT, _ENOUGH_THREADS = 8, 2**19
_GRID_Y = 65535
#: The most blocks that take rows of updates without a list.
_LEFTOVER_BLOCKS = 528


def are_few(updates: int, rows: int, nbytes: int) -> bool:
    """Whether lists save less than they cost where an atomic operation reduces a vector.

    That is so where most rows get no update, and where the cache holds data: atomics then read and
    write it there.

    Args:
        updates: the rows of updates.
        rows: the output rows.
        nbytes: the bytes of a row.
    """
    is_cached = where(rows * nbytes <= CACHED_BYTES, 1, 0)
    are_spread = where(updates <= 64 * rows, is_cached, 0)
    is_cheap = where(updates * nbytes <= FEW_BYTES, are_spread, 0)
    return is_cheap + where(4 * updates <= rows, 1, 0) > 0


@dataclass(frozen=True)
class RowLists:
    """The lists in the workspace.

    The workspace holds the state, a list head for each output row, and where updates are combined
    a bit whether its list is short. There follow a target for each row of updates, and where
    updates are combined a link.

    Attributes:
        workspace: all of it.
        rows: the output rows.
        updates: the rows of updates.
        is_combined: whether updates are combined; otherwise the last one of each row is kept.
    """

    workspace: Workspace
    rows: int
    updates: int
    is_combined: bool = True

    @staticmethod
    @overload
    def nbytes(rows: int, updates: int) -> int: ...

    @staticmethod
    @overload
    def nbytes(rows: Dim, updates: Dim) -> Dim: ...

    @staticmethod
    def nbytes(rows: Dim, updates: Dim) -> Dim:
        """Return the bytes for this many output rows and rows of updates."""
        words = rows + (rows + WARP_LANES - 1) // WARP_LANES + 2 * updates
        return STATE_BYTES + words * LIST_ITEMSIZE

    @staticmethod
    @overload
    def target_bytes(rows: int, updates: int) -> int: ...

    @staticmethod
    @overload
    def target_bytes(rows: Dim, updates: Dim) -> Dim: ...

    @staticmethod
    def target_bytes(rows: Dim, updates: Dim) -> Dim:
        """Return the bytes where updates are not combined: those of the heads and targets."""
        return STATE_BYTES + (rows + updates) * LIST_ITEMSIZE

    @property
    def heads(self) -> Workspace:
        """The head of each output row's list."""
        return self.workspace.at(STATE_BYTES)

    @property
    def are_short(self) -> Workspace:
        """A bit for each output row, 1 while its list is not known to be long."""
        return self.heads.at(self.rows * LIST_ITEMSIZE)

    @property
    def targets(self) -> Workspace:
        """For each row of updates, its output row, or a negative number."""
        return self.workspace.at(self._emptied_bytes)

    @property
    def links(self) -> Workspace:
        """For each row of updates, the next one in its list."""
        return self.targets.at(self.updates * LIST_ITEMSIZE)

    @property
    def most_walked(self) -> int:
        """With this many updates of a list the threads that write the row leave it to others.

        Hardly a list is longer where updates are spread evenly at random.
        """
        return _SHORT_LIST + 3 * groups_of(self.updates, at_least(1, self.rows))

    @property
    def empty(self) -> Fill:
        """The step that empties every list."""
        return Fill(self.workspace.first(self._emptied_bytes), EMPTY_BYTE)

    @property
    def _emptied_bytes(self) -> int:
        words = groups_of(self.rows, WARP_LANES) if self.is_combined else 0
        return STATE_BYTES + (self.rows + words) * LIST_ITEMSIZE


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
    grid = listed_row_grid(lists.rows, inner, tensors[0].dtype.itemsize, vector_bytes)
    linked: tuple[Workspace | None, ...] = (None,) * 3
    if lists.is_combined:
        linked = lists.links, lists.are_short, lists.targets
    return Launch(
        kernel,
        grid=(groups_of(lists.rows * grid.lanes, _GATHERING_BLOCK), grid.blocks[1]),
        block=_GATHERING_BLOCK,
        args=(
            *tensors,
            lists.workspace,
            lists.heads,
            *linked,
            int32(lists.rows),
            int32(inner),
            int32(grid.piece),
            int32(lists.most_walked),
        ),
        constants={"LANES": grid.lanes, **constants},
    )


def finish(
    kernel: CudaKernel,
    output: TensorDesc,
    updates: TensorDesc,
    lists: RowLists,
    inner: int,
    vector_bytes: int,
) -> Launch:
    """Return the launch of finish_long_lists; see gather."""
    grid = listed_row_grid(lists.updates, inner, output.dtype.itemsize, vector_bytes)
    return Launch(
        kernel,
        grid=(groups_of(lists.updates, _FINISHED_UPDATES), grid.vector_pieces),
        block=_FINISHING_BLOCK,
        args=(
            *(output, updates, lists.workspace, lists.are_short, lists.links, lists.targets),
            *(int32(lists.updates), int32(inner)),
        ),
        constants={"LANES": grid.lanes, "VECTOR": vector_bytes},
    )


@dataclass(frozen=True)
class RowGrid:
    """How threads take rows.

    Attributes:
        lanes: how many threads of a warp take a row, or a piece of it, together.
        blocks: the grid: blocks of rows, and pieces of a row.
        piece: the elements of a piece.
        vector_pieces: the pieces of a row if a thread takes one vector, or some together.
    """

    lanes: int
    blocks: tuple[int, int]
    piece: int
    vector_pieces: int


def listed_row_grid(rows: int, inner: int, itemsize: int, vector_bytes: int) -> RowGrid:
    """Return how threads of gather_rows take rows of ``inner`` elements, or those of long lists."""
    together = where(vector_bytes < VECTOR_BYTES, _SHORT_VECTORS, 1)
    return row_grid(rows, inner, max(vector_bytes // itemsize, 1), together=together)


def row_grid(
    rows: int, inner: int, elements: int, lanes: int | None = None, together: int = 1
) -> RowGrid:
    """Return how threads take rows of ``inner`` elements, in vectors of some elements.

    A thread takes some vectors ``together``. So many threads as ``lanes`` says take a row together,
    or as many as suit it.
    """
    vectors = groups_of(inner // elements, together)
    lanes = lanes or lanes_for(vectors)
    pieces = groups_of(vectors, lanes)
    each = at_most(_MOST_SHORT, pieces // groups_of(_ENOUGH_THREADS, at_least(1, rows) * lanes))
    each = where(together > 1, at_least(1, each), 1)
    each = at_least(each, groups_of(pieces, _GRID_Y))
    blocks = groups_of(rows * lanes, _BLOCK), groups_of(pieces, each)
    return RowGrid(lanes, blocks, lanes * each * elements * together, at_most(_GRID_Y, pieces))


def leftover_blocks(updates: int, grid: RowGrid) -> tuple[int, int]:
    """Return the blocks that take rows of updates without a list; all run at once."""
    pieces = grid.vector_pieces
    most = 1
    # Quotients of constants: an exported library would ask whether another divisor is zero.
    for limit in (64, 32, 16, 8, 4, 2, 1):
        most = where(pieces <= limit, _LEFTOVER_BLOCKS // limit, most)
    return at_most(most, groups_of(updates * grid.lanes, _BLOCK)), pieces


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
