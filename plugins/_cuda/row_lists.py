"""The host side of row_lists.cuh: the lists in the workspace, and the launch of gather_rows."""

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
    ceil_div,
    int32,
)
from pluginkit.plugins._cuda.reductions import Reduction

#: Bytes of a vector load.
VECTOR_BYTES = 16
#: List heads and links are positions of 32 bits.
LIST_ITEMSIZE = 4
MAX_LISTED = 2**31 - 1
#: The initial value of every byte of the state and the heads.
EMPTY_BYTE = 0xFF
#: The size of RowState in the workspace: a vector, so that the lists are aligned to vectors.
_STATE_BYTES = VECTOR_BYTES

#: The constants that row_lists.cuh and reduce.cuh share with Python.
DEFINES = {
    "Reduction": Reduction,
    "VECTOR_BYTES": VECTOR_BYTES,
    "EMPTY_BYTE": EMPTY_BYTE,
    "STATE_BYTES": _STATE_BYTES,
}

#: The elements of the longest row whose pieces the second dimension of a grid can count.
MAX_ROW = 2**23
_BLOCK = 256
#: How many vectors of its piece of a row a thread takes, or fewer if there would be too few threads
#: to keep a GPU busy.
_MOST_VECTORS, _ENOUGH_THREADS = 8, 2**19
_GRID_Y = 65535


@dataclass(frozen=True)
class RowLists:
    """The workspace: the state, a list head for each output row, a link for each row of updates."""

    workspace: Workspace
    rows: int

    @staticmethod
    @overload
    def nbytes(rows: int, updates: int) -> int: ...

    @staticmethod
    @overload
    def nbytes(rows: Dim, updates: Dim) -> Dim: ...

    @staticmethod
    def nbytes(rows: Dim, updates: Dim) -> Dim:
        """Return the bytes for this many output rows and rows of updates."""
        return _STATE_BYTES + (rows + updates) * LIST_ITEMSIZE

    @property
    def heads(self) -> Workspace:
        """The head of each output row's list."""
        return self.workspace.at(_STATE_BYTES)

    @property
    def links(self) -> Workspace:
        """For each row of updates, the next one in its list."""
        return self.heads.at(self.rows * LIST_ITEMSIZE)

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
    elements = max(vector_bytes // tensors[0].dtype.itemsize, 1)
    vectors = inner // elements
    lanes = next((lanes for lanes in (4, 8, 16) if vectors <= lanes), 32)
    each = _MOST_VECTORS
    while each > 1 and lists.rows * lanes * ceil_div(vectors, lanes * each) < _ENOUGH_THREADS:
        if ceil_div(2 * vectors, lanes * each) > _GRID_Y:
            break
        each //= 2
    pieces = ceil_div(vectors, lanes * each)
    return Launch(
        kernel,
        grid=(ceil_div(lists.rows * lanes, _BLOCK), pieces),
        block=_BLOCK,
        args=(
            *tensors,
            lists.workspace,
            lists.heads,
            lists.links,
            int32(lists.rows),
            int32(inner),
            int32(lanes * each * elements),
        ),
        constants={"LANES": lanes, **constants},
    )
