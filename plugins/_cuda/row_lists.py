"""The host's part of rows.cuh: lists of update rows, and the launch that combines them."""

from __future__ import annotations

from dataclasses import dataclass

from pluginkit import (
    CudaKernel,
    Fill,
    KernelConstant,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    int32,
)

#: Bytes of a vector load.
VECTOR_BYTES = 16
#: List heads and links are 32-bit positions.
MAX_LISTED = 2**31 - 1
#: Elements of the longest row whose pieces the second dimension of a grid can count.
MAX_ROW = 2**23
_BLOCK = 256
#: Vectors of each thread in one piece of a row: as many as leave enough threads to fill a GPU.
_MOST_VECTORS, _ENOUGH_THREADS = 8, 2**19
_GRID_Y = 65535
#: The two flags of RowState, kept a vector apart from the lists.
_STATE_BYTES = 16
_LIST_ITEMSIZE = 4


@dataclass(frozen=True)
class RowLists:
    """The workspace: the state, a list head for each output row, a link for each row of updates."""

    workspace: Workspace
    rows: int

    @staticmethod
    def nbytes(rows: int, updates: int) -> int:
        """The bytes for that many output rows and rows of updates."""
        return _STATE_BYTES + (rows + updates) * _LIST_ITEMSIZE

    @property
    def heads(self) -> Workspace:
        """The list heads."""
        return self.workspace.at(_STATE_BYTES)

    @property
    def links(self) -> Workspace:
        """What follows in the list of each row of updates."""
        return self.heads.at(self.rows * _LIST_ITEMSIZE)

    @property
    def empty(self) -> Fill:
        """The step that empties every list."""
        return Fill(self.workspace.first(self.nbytes(self.rows, 0)), 0xFF)


def gather(
    kernel: CudaKernel,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc],
    lists: RowLists,
    inner: int,
    vector_bytes: int = VECTOR_BYTES,
    **constants: KernelConstant,
) -> Launch:
    """The launch of gather_rows.

    Args:
        kernel: the plugin's instance of it.
        tensors: output, data and updates, taken as rows.
        lists: filled.
        inner: elements of a row, at most MAX_ROW.
        vector_bytes: what a row is a multiple of; less than an element means one element.
        constants: the kernel's own, but for LANES.
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
