"""The bytes of the workspace of a call of SegmentReduce, and how many it may need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Dim, TensorDesc, ceil_div, dim_max, dim_min, known, product
from pluginkit.plugins._cuda.radix_sort import SWEEP_THREADS, WIDE_BITS
from pluginkit.plugins.segment_reduce.segment_problem import (
    ALIGNMENT,
    CHUNK,
    FEW_ELEMENTS,
    FLOAT_BYTES,
    HEADER,
    MOST_CHUNKS,
    MOST_LONG,
    MOST_SWEEPS,
    SLOTS,
    SPARSE_ROWS,
    SWEPT_ITEMS,
    VECTOR_FLOATS,
    WARP,
    problem_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.segment_reduce import SegmentReduce


def workspace_bytes(
    plugin: SegmentReduce,
    x: TensorDesc,
    destinations: TensorDesc,
    rows: TensorDesc,
    _: TensorDesc | None,
    weights: TensorDesc | None,
) -> int:
    """Return the bytes that a call of static shapes needs, or one of smaller shapes.

    TensorRT asks only once, and a smaller call may sort chunks if this one does not.
    """
    problem = problem_of(plugin, x, destinations, rows.values[0], weights)
    if problem.always_scans or problem.adds:
        return 0
    chunked = _chunked(problem.edges, problem.rows, problem.inner)
    return known(dim_max(sum(problem.sizes()), chunked))


def _chunked(edges: Dim, rows: Dim, inner: Dim) -> Dim:
    """Return as many bytes as chunks need where there are no more edges, rows and elements."""
    chunks = ceil_div(dim_min(edges, CHUNK * MOST_CHUNKS), CHUNK)
    elements = ceil_div(dim_min(edges * inner, FEW_ELEMENTS), CHUNK) + inner
    of_long = MOST_LONG * FLOAT_BYTES * (elements + (HEADER + VECTOR_FLOATS) * chunks)
    of_rows = 4 * (SLOTS + 1) * dim_min(rows, SPARSE_ROWS) + 4
    found: Dim = 16 * CHUNK * chunks + of_rows + of_long + 5 * ALIGNMENT
    return found


def workspace_bound(
    x: TensorDesc, destinations: TensorDesc, rows: TensorDesc, *_: TensorDesc | None
) -> Dim:
    """Return as many bytes as any call of these dimensions needs, or more."""
    edges, inner, of_y = destinations.shape[0], product(x.shape[1:]), rows.values[0]
    stride = HEADER + VECTOR_FLOATS + inner
    items = ceil_div(edges, WARP) * 3 + 64  # at each level a sixteenth of those before, and two
    of_block = 4 * 2**WIDE_BITS * MOST_SWEEPS
    swept = (ceil_div(edges, SWEPT_ITEMS[0] * SWEEP_THREADS) + 1) * of_block
    found: Dim = 24 * edges + 4 * items * (stride + 1) + swept + of_y
    most: Dim = dim_max(found + 16 * ALIGNMENT + of_block, _chunked(edges, of_y, inner))
    return most
