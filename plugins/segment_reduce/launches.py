"""The launches of SegmentReduce, and the layout of its workspace; kernel.cu says what each does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pluginkit import (
    Dim,
    Fill,
    KernelArgument,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    float32,
    int32,
    known,
    may_hold,
    where,
)
from pluginkit.plugins._cuda.clear import clear_launch
from pluginkit.plugins._cuda.radix_sort import WIDE_BITS, sweep_launch
from pluginkit.plugins._cuda.reductions import Reduction
from pluginkit.plugins.segment_reduce.added_edges import DEFINES as ADD_DEFINES
from pluginkit.plugins.segment_reduce.added_edges import added_edges
from pluginkit.plugins.segment_reduce.segment_problem import (
    CHUNK,
    HEADER,
    MOST_CHUNKS,
    MOST_LONG,
    MOST_SCANNED_ROWS,
    MOST_SWEEPS,
    SCAN_BLOCKS,
    SHORT_RUN,
    SLOTS,
    SPREAD,
    SPREAD_ELEMENTS,
    THREADS,
    VECTOR_FLOATS,
    WARP,
    SegmentProblem,
    problem_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.segment_reduce import SegmentReduce

SegmentAggregate = Literal["add", "mean", "max", "min"]
#: How many columns the weights of edges have.
Weights = Literal["none", "column", "columns"]

#: The threads of a block that looks at all edges, its shared memory without the lists of edges, and
#: the bytes of an edge in them and the bits of its place among those that a warp looks at.
_SCAN_THREADS, _SCAN_BYTES, _LISTED_BYTES, _PLACE_BITS = 1024, 41_984, 2, 9
#: More edges of a row take longer for one warp than for all warps of such a block.
_LONG_ROW = 64
#: The items that a block of reduce_edges and reduce_items takes.
_TILE = THREADS
#: How many rows of x a thread loads before it reduces them, and how many edges make_keys loads.
_UNROLLED, _LOADS = 4, 4
#: With more blocks make_keys adds more counts of digits to the common ones.
_COUNTING_BLOCKS = 1056
#: The least lanes of a group that gathers a row from chunks; a lane keeps SLOTS // 8 of its runs.
_LEAST_GROUP_LOG2 = 3

#: The constants that the kernels share with Python, and further ones of keys.cu and chunks.cu.
DEFINES = ADD_DEFINES | {
    "Aggregate": SegmentAggregate,
    "HEADER": HEADER,
    "LONG_ROW": _LONG_ROW,
    "PLACE_BITS": _PLACE_BITS,
    "Reduction": Reduction,
    "SCAN_BYTES": _SCAN_BYTES,
    "SCAN_ROWS": MOST_SCANNED_ROWS,
    "SCAN_THREADS": _SCAN_THREADS,
    "SPREAD": SPREAD,
    "SPREAD_ELEMENTS": SPREAD_ELEMENTS,
    "THREADS": THREADS,
    "UNROLLED": _UNROLLED,
    "WARP": WARP,
    "Weights": Weights,
}
KEY_DEFINES = DEFINES | {
    "LOADS": _LOADS,
    "MOST_COUNTS": MOST_SWEEPS << WIDE_BITS,
}
CHUNK_DEFINES = DEFINES | {
    "CHUNK": CHUNK,
    "LEAST_GROUP": 1 << _LEAST_GROUP_LOG2,
    "MOST_CHUNKS": MOST_CHUNKS,
    "MOST_LONG": MOST_LONG,
    "SHORT_RUN": SHORT_RUN,
    "SLOTS": SLOTS,
}


@dataclass(frozen=True)
class SegmentCall:
    """A call with static shapes."""

    plugin: SegmentReduce
    x: TensorDesc
    destinations: TensorDesc
    sources: TensorDesc | None
    weights: TensorDesc | None
    y: TensorDesc
    workspace: Workspace

    @cached_property
    def problem(self) -> SegmentProblem:
        """The sizes of the call."""
        return problem_of(self.plugin, self.x, self.destinations, self.y.shape[0], self.weights)

    def steps(self) -> Sequence[Step]:
        """Return one launch for few edges, three for some; else a sort, reductions and zeros."""
        if self.problem.edges == 0 or self.problem.inner == 0:
            return (Fill(self.y),)
        if self.problem.adds:
            add = added_edges(self.plugin, self.problem, self._edges, self._constants)
            return clear_launch(self.plugin.clear_kernel, self.y), add
        if self.problem.scans:
            return (self._scan(),)
        return tuple(self._chunked() if self.problem.is_chunked else self._sorted())

    @property
    def _widths(self) -> KernelArgument:
        problem = self.problem
        return int32((problem.inner, problem.heads, problem.head_size))

    @property
    def _edges(self) -> tuple[KernelArgument, ...]:
        problem = self.problem
        return (
            *(self.y, self.x, self.weights, self._widths, self.destinations, self.sources),
            *map(int32, (problem.edges, problem.rows, problem.nodes)),
        )

    @property
    def _initial(self) -> KernelArgument:
        given = self.plugin.initial
        none = {"max": float("-inf"), "min": float("inf")}.get(self.plugin.aggregate, 0.0)
        return float32(none if given is None else given)

    @property
    def _constants(self) -> dict[str, int | str]:
        problem = self.problem
        columns: Weights = "column" if problem.heads == 1 else "columns"
        return {
            "VECTOR": problem.vector_bytes,
            "WEIGHTS": columns if problem.is_weighted else "none",
        }

    def _scan(self) -> Launch:
        problem = self.problem
        lists = -(-problem.edges // _SCAN_THREADS)
        blocks, parts = (
            ceil_div(problem.rows, problem.scanned_rows),
            ceil_div(problem.vectors, WARP),
        )
        # Blocks that would wait for others take parts of rows, too.
        parts_each = dim_min(ceil_div(parts * blocks, SCAN_BLOCKS), parts)
        return Launch(
            self.plugin.scan_kernel,
            grid=(blocks, ceil_div(parts, parts_each)),
            block=_SCAN_THREADS,
            args=(*self._edges, self._initial, *map(int32, (problem.scanned_rows, parts_each))),
            shared_bytes=_SCAN_BYTES + lists * _SCAN_THREADS * _LISTED_BYTES,
            constants=self._constants,
        )

    def _chunked(self) -> Iterator[Step]:
        problem, plugin = self.problem, self.plugin
        lanes_log2, parts = problem.lanes(problem.vectors)
        group_log2 = known(dim_max(lanes_log2, _LEAST_GROUP_LOG2))
        counts, *others = self.workspace.split(problem.chunk_sizes())
        listed, touched = problem.rows, None
        if problem.is_sparse:
            listed, touched = problem.edges, counts.at(4 * problem.rows)
            yield Fill(self.y)
        edges, rows, nodes = map(int32, (problem.edges, problem.rows, problem.nodes))
        stride, lanes = int32(problem.stride), int32(lanes_log2)
        read = self.x, self.weights, self._widths
        yield clear_launch(plugin.clear_kernel, counts.first(4 * (problem.rows + 1)))
        yield Launch(
            plugin.chunk_kernel,
            grid=(problem.chunks, parts),
            block=CHUNK,
            args=(
                *(counts, touched, *others, *read, self.destinations, self.sources),
                *(edges, rows, nodes, stride, lanes),
            ),
            constants=self._constants,
        )
        yield Launch(
            plugin.gather_kernel,
            grid=(ceil_div(listed << group_log2, THREADS), parts),
            block=THREADS,
            args=(
                *(self.y, counts, touched, *others, *read),
                *(rows, int32(problem.chunks), self._initial),
                *(stride, int32(group_log2), lanes),
            ),
            constants=self._constants,
        )

    def _sorted(self) -> Iterator[Step]:
        problem, plugin = self.problem, self.plugin
        parts, bits = problem.zeroed(), problem.digit_bits
        zeroed = self.workspace.first(sum(parts))
        state, digits, tickets, swept, touched = zeroed.split(parts)
        yield clear_launch(plugin.clear_kernel, zeroed)
        yield Launch(
            plugin.key_kernel,
            grid=min(ceil_div(problem.edges, _LOADS * THREADS), _COUNTING_BLOCKS),
            block=THREADS,
            args=(
                *(*self._pairs(0), digits, state, self.destinations, self.sources),
                *map(int32, (problem.edges, problem.rows, problem.nodes)),
                *(self.weights, *map(int32, (problem.heads, problem.sweeps, bits))),
            ),
        )
        place, of_bits = plugin.place_kernel, {"BITS": bits}
        yield Launch(place, problem.sweeps, 2**bits, (digits,), constants=of_bits)
        sweep_kernel = plugin.sweep_kernel if self.weights is None else plugin.weighted_sweep_kernel
        sweep = 0
        while may_hold(sweep < problem.sweeps):
            done = min(sweep, problem.sweeps)
            yield sweep_launch(
                sweep_kernel,
                done,
                where(sweep < problem.sweeps, problem.sweep_blocks, 0),
                pairs=(*self._pairs(sweep + 1), *self._pairs(sweep)),
                shared=(digits, swept, tickets),
                items=problem.edges,
                each=problem.swept_items,
                state=state,
                bits=bits,
            )
            sweep += 1
        yield from self._reductions(state, touched)
        yield Launch(
            plugin.zero_kernel,
            grid=ceil_div(problem.rows, _TILE),
            block=THREADS,
            args=(self.y, touched, int32(problem.rows), int32(problem.inner)),
            constants={"VECTOR": problem.vector_bytes},
        )

    def _pairs(self, sweep: int) -> tuple[Workspace, Workspace]:
        """Return where keys and values are after so many sweeps: each has two places."""
        zeroed, keys, _, values, *_ = self.problem.sizes()
        half = sweep % 2
        first, second = self.workspace.at(zeroed), self.workspace.at(zeroed + 2 * keys)
        return first.at(half * keys).first(keys), second.at(half * values).first(values)

    def _reductions(self, state: Workspace, touched: Workspace) -> Iterator[Launch]:
        """Yield reduce_edges, then reduce_items for each level of items."""
        problem, plugin = self.problem, self.plugin
        *before, key_bytes, _ = problem.sizes()
        keys, values = self.workspace.at(sum(before)), self.workspace.at(sum(before) + key_bytes)
        flag = state.at(4)
        items = problem.edges

        def target(items: int, vectors: int) -> tuple[tuple[KernelArgument, ...], Dim]:
            lanes_log2, parts = problem.lanes(vectors)
            sizes = int32((items, problem.rows, problem.inner, problem.stride, lanes_log2))
            return (self.y, touched, values, keys, flag, sizes, self._initial), parts

        (arguments, parts), constants = target(items, problem.vectors), self._constants
        if problem.is_spread:
            parts = ceil_div(problem.inner, SPREAD_ELEMENTS * WARP)
            constants |= {"VECTOR": SPREAD}
        yield Launch(
            plugin.edge_kernel,
            grid=(ceil_div(items, _TILE), parts),
            block=THREADS,
            args=(
                *arguments,
                *(self.x, self.weights, self._widths, state),
                *(*self._pairs(0), *self._pairs(problem.sweeps)),
            ),
            constants=constants,
        )
        for items in problem.levels():
            given = flag, keys, values
            keys, values = keys.at(4 * items), values.at(4 * problem.stride * items)
            flag = flag.at(4)
            arguments, parts = target(items, problem.stride // VECTOR_FLOATS - 1)
            yield Launch(
                plugin.item_kernel, (ceil_div(items, _TILE), parts), THREADS, (*arguments, *given)
            )
