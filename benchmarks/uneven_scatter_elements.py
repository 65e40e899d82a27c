"""ScatterElements and its peers where updates do not spread evenly over rows, on a GPU.

    python benchmarks/uneven_scatter_elements.py

Graphs: hubs, degrees by a power law, rows of indices that are not constant, odd widths. Values are
whole numbers whose sums are exact in every order, so that one lost update shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peers import run_bench
from scatter_elements import PEERS as ALL_PEERS
from uneven_places import Nodes, as_in_graph500, by_power_law, evenly, in_order, with_hub

from pluginkit import DType, float16, float32, int64
from pluginkit.bench.workload import Workload
from pluginkit.plugins.scatter_elements import ScatterElements

#: From a module such as cupy, a random generator, data's shape and that of the indices, to indices.
Places = Callable[[Any, Any, tuple[int, ...], tuple[int, ...]], Any]


def rows_to(nodes: Nodes, *, odd_rows: int = 0) -> Places:
    """Return constant rows of indices, but for some at the end whose first index differs."""

    def places(xp: Any, rng: Any, data: tuple[int, ...], updates: tuple[int, ...]) -> Any:
        found = nodes(xp, rng, data[0], updates[0])
        indices = xp.ascontiguousarray(xp.broadcast_to(found[:, None], updates))
        if odd_rows:
            indices[-odd_rows:, 0] = 0
        return indices

    return places


@dataclass(frozen=True)
class Uneven:
    """A case: its shapes, its axis, its indices, and the part compared with the reference.

    Attributes:
        dtypes: the types that are measured; atomics on single float16 take seconds at a large hub.
        is_determined: whether deterministic=True is measured as well.
    """

    data: tuple[int, ...]
    updates: tuple[int, ...]
    axis: int
    places: Places
    sample: tuple[slice, ...] = ()
    dtypes: tuple[DType, ...] = (float32,)
    is_determined: bool = False

    def arrays(self, xp: Any, seed: int) -> list[Any]:
        """Return data, indices and updates."""
        rng = xp.random.default_rng(seed)
        indices = self.places(xp, rng, self.data, self.updates)
        draw = lambda sizes: xp.floor(rng.random(sizes, dtype=xp.float32) * 3) - 1  # noqa: E731
        return [draw(self.data), indices, draw(self.updates)]


_NODES, _EDGES = (1_000_000, 64), (4_000_000, 64)


def _graph(nodes: Nodes, *more: Any, width: int = 64, odd_rows: int = 0) -> Uneven:
    shapes = (_NODES[0], width), (_EDGES[0], width)
    sample = slice(None), slice(None, None, width - 1)
    return Uneven(*shapes, 0, rows_to(nodes, odd_rows=odd_rows), sample, *more)


_BOTH = (float32, float16)
CASES = {
    "gnn": _graph(evenly, _BOTH, True),
    "gnn: a node of 300": _graph(with_hub(300), _BOTH),
    "gnn: a node of 0.1 %": _graph(with_hub(_EDGES[0] // 1000), (float32,), True),
    "gnn: a node of 25 %": _graph(with_hub(_EDGES[0] // 4)),
    "gnn: power law": _graph(by_power_law, (float32,), True),
    "gnn: Graph500": _graph(as_in_graph500),
    "gnn: in order": _graph(in_order),
    "gnn: one row not constant": _graph(evenly, _BOTH, odd_rows=1),
    "gnn: 1 % of rows not constant": _graph(evenly, odd_rows=_EDGES[0] // 100),
    "gnn: rows of 63": _graph(evenly, _BOTH, width=63),
}
PEERS = tuple(peer for peer in ALL_PEERS if peer.name not in ("torch.compile", "cupy"))


def workloads() -> Iterator[Workload]:
    """Yield sums of every case, in order for some."""
    return workloads_of(CASES)


def workloads_of(cases: Mapping[str, Uneven]) -> Iterator[Workload]:
    """Yield sums of some cases, in order where the case says so."""
    for name, case in cases.items():
        for dtype in case.dtypes:
            yield _workload(name, case, dtype, is_determined=False)
        if case.is_determined:
            yield _workload(name, case, float32, is_determined=True)


def _workload(name: str, case: Uneven, dtype: Any, *, is_determined: bool) -> Workload:
    plugin = ScatterElements(axis=case.axis, reduction="add", deterministic=is_determined)
    variant = "add" + ", deterministic" * is_determined
    return Workload(name, variant, plugin, (dtype, int64, dtype), case.arrays, case.sample)


if __name__ == "__main__":
    raise SystemExit(run_bench(ScatterElements, __file__))
