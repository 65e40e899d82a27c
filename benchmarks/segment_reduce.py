"""SegmentReduce, torch, Triton and plain kernels, on a GPU.

    python benchmarks/segment_reduce.py

which is ``pluginkit bench SegmentReduce --peers benchmarks/segment_reduce.py`` with the results
written to benchmarks/results. The floor counts x, indices, weights and y once; x is read once for
each edge, from memory where it is larger than the L2 cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import Function, bind_torch, plain_kernel, run_bench, torch_on_stream_of

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.segment_reduce import SegmentReduce


@dataclass(frozen=True)
class Graph:
    """A graph's nodes and edges, the elements of a node, and how edges choose where they lead.

    ``spread`` is uniform; hub, where half of the edges lead to one node; power, where the number of
    edges falls with the rank of the node; sorted, uniform in ascending order; or one.
    """

    nodes: int
    edges: int
    inner: int
    spread: str = "uniform"


CASES = {
    "gnn": Graph(500_000, 2_000_000, 64),
    "hub": Graph(500_000, 2_000_000, 64, "hub"),
    "power law": Graph(500_000, 2_000_000, 64, "power"),
    "sorted": Graph(500_000, 2_000_000, 64, "sorted"),
    "one destination": Graph(500_000, 2_000_000, 64, "one"),
    "one feature": Graph(500_000, 2_000_000, 1),
    "one feature with a hub": Graph(500_000, 2_000_000, 1, "hub"),
    "63 features": Graph(500_000, 2_000_000, 63),
    "256 features": Graph(200_000, 1_000_000, 256),
    "papers": Graph(169_343, 1_166_243, 128),
    "many graphs": Graph(100_000, 400_000, 64),
    "some graphs": Graph(25_000, 100_000, 64),
    "some graphs with a hub": Graph(25_000, 100_000, 64, "hub"),
    "citations": Graph(2708, 10_556, 64),
    "molecules": Graph(2000, 4400, 32),
    "one graph": Graph(250, 4000, 64),
}
HOSTILE = {
    "mostly empty": Graph(500_000, 1000, 64),
    "mostly empty, of one": Graph(1_000_000, 1000, 1),
    "one node": Graph(1, 2**20, 64),
    "three nodes": Graph(3, 2_000_000, 16),
    "7 features": Graph(500_000, 2_000_000, 7),
    "1000 features": Graph(2000, 20_000, 1000),
    "one feature, sorted": Graph(500_000, 2_000_000, 1, "sorted"),
    "one feature, hub": Graph(500_000, 2_000_000, 1, "hub"),
    "one feature, hub of few": Graph(20_772, 2**21, 1, "hub"),
    "one feature, power law": Graph(500_000, 2_000_000, 1, "power"),
    "one feature, few rows": Graph(2000, 2**18, 1, "power"),
    "10 edges": Graph(10, 10, 64),
    "65 edges of one row": Graph(1, 65, 296),
    "40 edges of wide rows": Graph(2048, 40, 262),
    "98 features": Graph(1800, 2**17, 98, "sorted"),
    "2000 edges": Graph(2000, 2000, 3),
    "a pool": Graph(64, 100_000, 128, "sorted"),
    "a long pool": Graph(16, 2_000_000, 64, "sorted"),
    "long rows, few": Graph(64, 256, 10_000),
}
#: The aggregates that a case is measured with, and whether edges have weights.
_ADD, _WEIGHTED, _MAX = ("add", False), ("add", True), ("max", False)
_MORE = {
    "gnn": (_ADD, _WEIGHTED, _MAX),
    "papers": (_ADD, _WEIGHTED),
    "citations": (_ADD, _MAX),
}
#: Cases with few elements, of which sums are measured with deterministic=True, too.
_SMALL = ("many graphs", "some graphs", "some graphs with a hub", "citations")
#: Cases that are measured in 16 bits, too.
_NARROW = ("papers",)


def drawn(rng: Random) -> Graph:
    """Return at most 2^19 nodes, 2^21 edges, 512 elements a node, and 2^24 elements in all."""
    inner = size(rng, 1, 512)
    nodes, edges = size(rng, 1, min(2**19, 2**24 // inner)), size(rng, 1, 2**28 // inner)
    spread = rng.choice(("uniform", "uniform", "hub", "power", "sorted"))
    return Graph(nodes, min(edges, 2**21), inner, spread)


def workloads(cases: Mapping[str, Graph] = CASES) -> Iterator[Workload]:
    """Yield every case with sums, and the first ones with every aggregate and type."""
    for case, graph in cases.items():
        others = (_ADD,) if case in CASES else (_ADD, _WEIGHTED, _MAX)
        columns = (slice(None), slice(None, None, ceil(graph.inner / 2)))
        sample = {"x": columns, "y": columns}
        for dtype in (float32, float16) if case in _NARROW else (float32,):
            for aggregate, weighted in _MORE.get(case, others):
                names = ["x", "destinations", "rows", "sources", *["weights"] * weighted]
                dtypes = (dtype, int64, int64, int64, dtype)[: len(names)]
                arrays = _inputs(graph, weighted)
                for exact in (False, True) if case in _SMALL else (False,):
                    plugin = SegmentReduce(aggregate=aggregate, deterministic=exact)  # type: ignore[arg-type]  # one of them
                    words = [aggregate, *["weighted"] * weighted, *["deterministic"] * exact]
                    bound, variant = plugin.with_inputs(*names), ", ".join(words)
                    yield Workload(case, variant, bound, dtypes, arrays, sample)


def _inputs(graph: Graph, weighted: bool) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        places = rng.random(graph.edges, dtype=xp.float64)
        if graph.spread == "hub":
            places = xp.where(rng.random(graph.edges) < 0.5, 0.25, places)
        elif graph.spread == "power":
            places = places**4
        elif graph.spread == "one":
            places[:] = 0.5
        destinations = (places * graph.nodes).astype(xp.int64)
        if graph.spread == "sorted":
            destinations = xp.sort(destinations)
        # Quarters, so that sums are exact in any order.
        x = (rng.integers(-8, 9, (graph.nodes, graph.inner)) / 4).astype(xp.float32)
        sources = rng.integers(0, graph.nodes, graph.edges)
        made = [x, destinations, xp.array([graph.nodes]), sources]
        if weighted:
            made.append((rng.integers(1, 5, graph.edges) / 2).astype(xp.float32))
        return made

    return make


def _messages(x: Any, sources: Any, weights: Any) -> Any:
    messages = x.index_select(0, sources)
    return messages if weights is None else messages * weights[:, None]


def _index_add(plugin: SegmentReduce, inputs: Sequence[DeviceTensor]) -> Function:
    """Gather the messages; add them with index_add."""
    import torch

    if plugin.aggregate != "add":
        raise NotOffered("it only adds")

    def function(x: Any, at: Any, sources: Any, weights: Any = None) -> Any:
        y = torch.zeros_like(x)
        return y.index_add_(0, at, _messages(x, sources, weights))

    return function


def _deterministic(plugin: SegmentReduce, inputs: Sequence[DeviceTensor]) -> Function:
    """Gather the messages; add them with index_add in an order that each run has."""
    import torch

    if not plugin.deterministic:
        raise NotOffered("beside deterministic sums")
    torch.utils.deterministic.fill_uninitialized_memory = False
    add = _index_add(plugin, inputs)

    def function(*tensors: Any) -> Any:
        torch.use_deterministic_algorithms(True)
        try:
            return add(*tensors)
        finally:
            torch.use_deterministic_algorithms(False)

    return function


def _scatter_reduce(plugin: SegmentReduce, inputs: Sequence[DeviceTensor]) -> Function:
    """Gather the messages; reduce them with scatter_reduce, as PyTorch Geometric does."""
    import torch

    name = {"add": "sum", "max": "amax", "min": "amin"}.get(plugin.aggregate, plugin.aggregate)

    def function(x: Any, at: Any, sources: Any, weights: Any = None) -> Any:
        messages = _messages(x, sources, weights)
        places = at[:, None].expand_as(messages)
        y = torch.zeros_like(x)
        return y.scatter_reduce_(0, places, messages, name, include_self=False)

    return function


def _sparse(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Multiply by a sparse matrix in CSR, which is made beforehand: its sort is not timed."""
    if plugin.attribute_values["aggregate"] != "add":
        raise NotOffered("it only adds")
    torch = torch_on_stream_of(inputs)
    x, at, sources, *rest = (tensor.torch() for tensor in inputs)
    values = rest[0] if rest else torch.ones(len(at), dtype=x.dtype, device=x.device)
    order = torch.argsort(at, stable=True)
    counts = torch.bincount(at, minlength=len(x))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    matrix = torch.sparse_csr_tensor(
        starts.int(), sources[order].int(), values[order], (len(x), len(x))
    )
    return lambda: torch.sparse.mm(matrix, x)


_PLAIN = """
extern "C" __global__ void plain(float* y, const float* x, const long long* at,
                                 const long long* sources, const float* weights, long long total,
                                 int inner) {
    const long long step = 1LL * gridDim.x * blockDim.x;
    for (long long i = 1LL * blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const long long edge = i / inner, element = i - edge * inner;
        const float weight = weights == nullptr ? 1.0f : weights[edge];
        atomicAdd(y + at[edge] * inner + element, weight * x[sources[edge] * inner + element]);
    }
}
// The same in vectors, for which compute capability 9.0 has atomics.
extern "C" __global__ void vectors(float* y, const float* x, const long long* at,
                                   const long long* sources, const float* weights, long long total,
                                   int inner) {
    const long long step = 1LL * gridDim.x * blockDim.x;
    const int each = inner / 4;
    for (long long i = 1LL * blockIdx.x * blockDim.x + threadIdx.x; i < total / 4; i += step) {
        const long long edge = i / each, element = (i - edge * each) * 4;
        const float weight = weights == nullptr ? 1.0f : weights[edge];
        float4 v = *reinterpret_cast<const float4*>(x + sources[edge] * inner + element);
        float* target = y + at[edge] * inner + element;
        asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};"
                     :: "l"(target), "f"(weight * v.x), "f"(weight * v.y), "f"(weight * v.z),
                        "f"(weight * v.w) : "memory");
    }
}
"""


def _atomics(name: str) -> Callable[..., TimedCall]:
    """Return the ``bind`` of a kernel that gathers, multiplies and adds by atomics at once."""

    def bind(
        plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> TimedCall:
        x, at, sources, *rest = inputs
        inner = x.shape[1]
        if plugin.attribute_values["aggregate"] != "add" or x.dtype is not float32:
            raise NotOffered("it is written for sums of float32")
        if name == "vectors" and inner % 4:
            raise NotOffered("it is written for rows of whole vectors")
        kernel, y, total = plain_kernel(_PLAIN, name), outputs[0].cupy(), at.size * inner
        pointers = [tensor.pointer for tensor in (outputs[0], x, at, sources, *rest)]
        pointers += [0] * (5 - len(pointers))
        arguments = (*pointers, np.int64(total), np.int32(inner))
        blocks = min(-(-total // 256), 132 * 64)

        def call() -> None:
            y.fill(0)
            kernel((blocks,), (256,), arguments)

        return call

    return bind


def _triton(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Gather, multiply and add by atomics at once, in Triton."""
    if plugin.attribute_values["aggregate"] != "add":
        raise NotOffered("it is written for sums")
    if inputs[0].dtype is bfloat16:
        raise NotOffered("it is written for float32 and float16")
    from segment_reduce_triton import gather_add

    torch_on_stream_of(inputs)
    x, at, sources, *rest = (tensor.torch() for tensor in inputs)
    y = outputs[0].torch()
    return lambda: gather_add(y, x, at, sources, rest[0] if rest else None)


PEERS = (
    Peer("torch index_add", bind_torch(_index_add)),
    Peer("torch index_add, deterministic", bind_torch(_deterministic)),
    Peer("torch scatter_reduce", bind_torch(_scatter_reduce)),
    Peer("torch.sparse CSR, made before", _sparse),
    Peer("plain atomics", _atomics("plain")),
    Peer("atomics of vectors", _atomics("vectors")),
    Peer("Triton atomics", _triton),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(SegmentReduce, __file__))
