"""ScatterND and its peers where updates do not spread evenly, on a GPU.

    python benchmarks/uneven_scatter_nd.py

Hubs and degrees by a power law, and all points in one cell. Values are whole numbers whose sums are
exact in every order, so that one lost update shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

from peers import run_bench
from scatter_nd import CASES as EVEN_CASES
from scatter_nd import PEERS as ALL_PEERS
from uneven_places import Nodes, as_in_graph500, by_power_law, evenly, in_order, with_hub

from pluginkit import float16, float32, int64
from pluginkit.bench.workload import Workload
from pluginkit.plugins.scatter_nd import ScatterND

#: The shapes, as the even benchmark has them, and the distribution of rows.
CASES: dict[str, tuple[str, Nodes]] = {
    "gnn": ("gnn", evenly),
    "gnn: a node of 300": ("gnn", with_hub(300)),
    "gnn: a node of 0.1 %": ("gnn", with_hub(4000)),
    "gnn: a node of 25 %": ("gnn", with_hub(1_000_000)),
    "gnn: power law": ("gnn", by_power_law),
    "gnn: Graph500": ("gnn", as_in_graph500),
    "gnn: in order": ("gnn", in_order),
    "gnn of odd rows: power law": ("gnn of odd rows", by_power_law),
    "pillars": ("pillars", evenly),
    "pillars: one of 10 %": ("pillars", with_hub(6000)),
    "mid3d": ("mid3d", evenly),
    "points: a cell of 1 %": ("points", with_hub(40_000)),
    "small": ("small", evenly),
}
#: The cases of which float16 is measured as well.
IN_BOTH_TYPES = ("gnn", "gnn: a node of 300", "gnn: power law", "pillars", "mid3d", "small")
PEERS = tuple(peer for peer in ALL_PEERS if peer.name not in ("torch index_reduce", "cupy"))


def workloads() -> Iterator[Workload]:
    """Yield sums of every case."""
    for name, (shapes, nodes) in CASES.items():
        for dtype in (float32, float16) if name in IN_BOTH_TYPES else (float32,):
            plugin, types = ScatterND(reduction="add"), (dtype, int64, dtype)
            sample = EVEN_CASES[shapes][2]
            yield Workload(name, "add", plugin, types, _arrays(shapes, nodes), sample)


def _arrays(shapes: str, nodes: Nodes) -> Callable[[Any, int], list[Any]]:
    data, (*count, depth), _ = EVEN_CASES[shapes]
    sizes = data[:depth]

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        draw = lambda sizes: xp.floor(rng.random(sizes, dtype=xp.float32) * 3) - 1  # noqa: E731
        rows = nodes(xp, rng, prod(sizes), prod(count))
        indices = xp.stack(xp.unravel_index(rows, sizes), -1).reshape(*count, depth)
        return [draw(data), indices, draw((*count, *data[depth:]))]

    return make


if __name__ == "__main__":
    raise SystemExit(run_bench(ScatterND, __file__))
