"""The launch of the tile variants of ScatterElements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES, WARP_LANES
from pluginkit.plugins.scatter_elements.scatter_problem import (
    ENOUGH_BLOCKS,
    SHARED_BYTES,
    ScatterProblem,
)

#: The threads of a block, and of one of few.
_BLOCK, LONE_TILE_BLOCK = 128, 512
#: With so many threads a large GPU is busy.
_ENOUGH_THREADS = 2**17
#: How many loads a thread has in flight, of data and of indices, and where tiles are few.
_LOADS, _LONE_LOADS = 4, 2
#: With this many tiles each may have several rows; with fewer to fill a block, or for vectors.
_MANY_TILES, _SOME_TILES, _FEW_TILES = 2**11, 2**9, 264
#: So many times the rows whose loads are in flight at once are taken for vectors.
_MORE = 4


def tiles(
    kernel: CudaKernel,
    problem: ScatterProblem,
    tensors: Sequence[TensorDesc],
    shared_bytes: Callable[[int], int],
) -> Launch:
    """Return a launch with a block for each row, or for some short ones.

    Many small blocks overlap their phases; if there are few, each needs all threads it can use.
    """
    outer, itemsize, index_itemsize = problem.outer, problem.itemsize, problem.index_itemsize
    is_busy = outer * _BLOCK >= _ENOUGH_THREADS
    most, each = where(is_busy, _BLOCK, LONE_TILE_BLOCK), where(is_busy, _LOADS, _LONE_LOADS)
    of_data = _rows_of_vectors(itemsize * problem.axis_size)
    of_updates = _rows_of_vectors(index_itemsize * problem.count)
    loads = most * each
    fits = dim_min(
        loads * VECTOR_BYTES // (itemsize * problem.axis_size),
        loads * VECTOR_BYTES // (index_itemsize * problem.count),
    )
    filling = dim_min(outer // _FEW_TILES, loads // dim_max(problem.axis_size, problem.count))
    rows = dim_max(dim_min(fits, dim_max(outer // _MANY_TILES, filling)), 1)
    # More rows, if they are vectors together and one is not.
    both = known(dim_max(of_data, of_updates))
    limit = dim_min(_MORE * fits, SHARED_BYTES // shared_bytes(1))
    more = known(dim_min(limit, outer // _SOME_TILES))
    unit = where(both <= more, both, where(of_data <= more, of_data, 1))
    units = dim_min((rows + unit // 2) // unit, limit // unit)
    rows = known(dim_max(units, 1) * unit)
    are_many = outer >= ENOUGH_BLOCKS
    has_cell_vectors = are_many and rows % of_data == 0
    has_update_vectors = are_many and rows % of_updates == 0
    cells = VECTOR_BYTES // itemsize if has_cell_vectors else 1
    updates = VECTOR_BYTES // index_itemsize if has_update_vectors else 1
    wanted = dim_max(
        rows * problem.axis_size // (each * cells), rows * problem.count // (each * updates)
    )
    return Launch(
        kernel,
        grid=ceil_div(outer, rows),
        block=dim_min(dim_max(ceil_div(wanted, WARP_LANES), 2) * WARP_LANES, most),
        args=(
            *tensors,
            int32(problem.axis_size),
            divisor_of(problem.count),
            *map(int32, (rows, outer)),
        ),
        shared_bytes=shared_bytes(rows),
        constants={"CELL_VECTORS": has_cell_vectors, "UPDATE_VECTORS": has_update_vectors},
    )


def _rows_of_vectors(nbytes: int) -> int:
    """Return how many rows of so many bytes are together a multiple of a vector."""
    rows = VECTOR_BYTES
    for number in (8, 4, 2, 1):
        rows = where(nbytes * number % VECTOR_BYTES == 0, number, rows)
    return rows
