"""Where updates meet: distributions of a graph's edges over its nodes, for benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: From a module such as cupy, a random generator, and the numbers of nodes and of edges, to the
#: node of each edge.
Nodes = Callable[[Any, Any, int, int], Any]


def evenly(xp: Any, rng: Any, nodes: int, edges: int) -> Any:
    """Return a random node for each edge."""
    return rng.integers(0, nodes, edges)


def with_hub(degree: int) -> Nodes:
    """Return a distribution that is even but for one node, which gets ``degree`` edges more."""

    def distribution(xp: Any, rng: Any, nodes: int, edges: int) -> Any:
        found = evenly(xp, rng, nodes, edges)
        found[rng.integers(0, edges, degree)] = 2 * nodes // 3
        return found

    return distribution


def by_power_law(xp: Any, rng: Any, nodes: int, edges: int) -> Any:
    """Return nodes of which the k-th most frequent gets a share that falls as k^(-2/3).

    Of 4e6 edges among 1e6 nodes, one node gets 1 % and 130 get more than 500 edges each.
    """
    order = (rng.random(edges) ** 3 * nodes).astype(xp.int64)
    return order * 7919 % nodes  # frequent nodes do not lie side by side


def as_in_graph500(xp: Any, rng: Any, nodes: int, edges: int) -> Any:
    """Return nodes whose degrees are those of Graph500's Kronecker graphs, like social networks'.

    Every bit of a node's number is 1 with probability 0.24; the numbers are then scattered.
    """
    found = xp.zeros(edges, xp.int64)
    bits = (nodes - 1).bit_length()
    for _ in range(bits):
        found = found * 2 + (rng.random(edges) < 0.24)
    return found * 7919 % nodes


def in_order(xp: Any, rng: Any, nodes: int, edges: int) -> Any:
    """Return random nodes in ascending order."""
    return xp.sort(evenly(xp, rng, nodes, edges))
