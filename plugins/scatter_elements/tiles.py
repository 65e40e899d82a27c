"""The launch of the tile variants of ScatterElements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pluginkit import CudaKernel, Launch, TensorDesc, ceil_div, dim_max, dim_min, int32, known
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES, WARP_LANES
from pluginkit.plugins.scatter_elements.variants import ENOUGH_BLOCKS, ScatterProblem

#: The threads of a block, of one that loads vectors, and of one of few.
_BLOCK, _VECTOR_BLOCK, LONE_TILE_BLOCK = 256, 128, 512
#: With this many tiles each may have several rows.
_MANY_TILES = 2**11


def tiles(
    kernel: CudaKernel,
    problem: ScatterProblem,
    tensors: Sequence[TensorDesc],
    shared_bytes: Callable[[int], int],
) -> Launch:
    """Return a launch with a block for each row, or for some short ones."""
    is_vector = problem.is_vectorised_tile
    cells = VECTOR_BYTES // problem.itemsize if is_vector else 1
    updates = VECTOR_BYTES // problem.index_itemsize if is_vector else 1
    if problem.outer < ENOUGH_BLOCKS:
        most = LONE_TILE_BLOCK
    else:
        most = _VECTOR_BLOCK if is_vector else _BLOCK
    # With two vectors of data and two of indices a thread has enough loads in flight. Many
    # small blocks overlap their phases; if there are few, each needs all threads it can use.
    wanted = dim_max(problem.axis_size // (2 * cells), problem.count // (2 * updates), 1)
    rows = known(dim_max(dim_min(most // wanted, problem.outer // _MANY_TILES), 1))
    threads = dim_max(ceil_div(rows * wanted, WARP_LANES), 2) * WARP_LANES
    return Launch(
        kernel,
        grid=ceil_div(problem.outer, rows),
        block=dim_min(threads, most),
        args=(
            *tensors,
            int32(problem.axis_size),
            divisor_of(problem.count),
            *map(int32, (rows, problem.outer)),
        ),
        shared_bytes=shared_bytes(rows),
        constants={"VECTOR": is_vector},
    )
