"""The launch of SegmentReduce that adds edges by atomics; see add.cu and add_single.cu."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pluginkit import (
    KernelArgument,
    KernelConstant,
    Launch,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    where,
)
from pluginkit.plugins.segment_reduce.segment_problem import THREADS, WARP, SegmentProblem

if TYPE_CHECKING:
    from pluginkit.plugins.segment_reduce import SegmentReduce

#: Where rows are narrow: the edges of a warp for which it keeps their row, and blocks at most.
_MANY_MEETING, _NARROW_BLOCKS = 4, 1056
#: Up to so many edges none looks whether others lead to its row.
_FEW_ALONE = 512
#: Where rows are single elements: a block's threads, the edges that each loads at once, its sums in
#: shared memory, and the blocks that have theirs, at most. That pays for so many edges, so many for
#: each of these sums, and up to so many rows.
_SINGLE_THREADS, SINGLE_LOADS = 1024, 2
_SINGLE_ROWS, _SINGLE_BLOCKS = 2**14, 132
_SINGLE_EDGES, _EDGES_OF_ONE, _MOST_ROWS = 2**15, 16, 2**16
#: In so few rows edges meet often: a warp looks for them before it adds each of a lane's edges.
_CROWDED_ROWS = 2**13

#: The constants that the kernels share with Python.
DEFINES = {
    "FEW_ALONE": _FEW_ALONE,
    "MANY_MEETING": _MANY_MEETING,
    "SINGLE_LOADS": SINGLE_LOADS,
    "SINGLE_THREADS": _SINGLE_THREADS,
}


def added_edges(
    plugin: SegmentReduce,
    problem: SegmentProblem,
    edges: tuple[KernelArgument, ...],
    constants: Mapping[str, KernelConstant],
) -> Launch:
    """Return the launch that adds edges to rows of zeros.

    Args:
        plugin: the plugin.
        problem: the sizes of the call.
        edges: the arguments that all kernels of edges have.
        constants: VECTOR and WEIGHTS.
    """
    least = dim_max(_SINGLE_EDGES, _EDGES_OF_ONE * dim_min(problem.rows, _SINGLE_ROWS))
    if problem.inner == 1 and problem.edges >= least and problem.rows <= _MOST_ROWS:
        return _single(plugin, problem, edges, constants)
    lanes_log2, parts = problem.lanes(problem.vectors)
    if lanes_log2 == 0 and problem.edges > _FEW_ALONE:
        blocks = min(ceil_div(problem.edges, THREADS), _NARROW_BLOCKS)
        return Launch(plugin.narrow_kernel, blocks, THREADS, edges, constants=constants)
    shares = problem.shares(1 << lanes_log2)
    warps = ceil_div(problem.edges, WARP) * shares
    return Launch(
        plugin.add_kernel,
        grid=(warps // (THREADS // WARP) + 1, parts),
        block=THREADS,
        args=(*edges, *map(int32, (lanes_log2, shares))),
        constants=constants,
    )


def _single(
    plugin: SegmentReduce,
    problem: SegmentProblem,
    edges: tuple[KernelArgument, ...],
    constants: Mapping[str, KernelConstant],
) -> Launch:
    rows = dim_min(problem.rows, _SINGLE_ROWS)
    return Launch(
        plugin.single_kernel,
        grid=dim_min(ceil_div(problem.edges, _SINGLE_THREADS), _SINGLE_BLOCKS),
        block=_SINGLE_THREADS,
        args=(*edges, int32(rows)),
        shared_bytes=-(-rows // 4) * 16,
        constants={
            "WEIGHTS": constants["WEIGHTS"],
            "TOGETHER": where(problem.rows <= _CROWDED_ROWS, 1, SINGLE_LOADS),
        },
    )
