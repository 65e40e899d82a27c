"""Sample calls of SegmentReduce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit import Case

Array = npt.NDArray[Any]

#: Each case's name, the shape of x, edges, rows, columns of weights (0: a vector; None: absent),
#: how destinations are drawn, and the attributes.
_CASES: tuple[tuple[str, tuple[int, ...], int, int, int | None, str, dict[str, Any]], ...] = (
    ("graph", (50, 16), 200, 50, None, "uniform", {}),
    ("weighted", (50, 33), 200, 40, 0, "uniform", {}),
    ("heads", (20, 2, 8), 90, 30, 2, "uniform", {"aggregate": "mean"}),
    ("maximum", (9, 5), 60, 40, None, "uniform", {"aggregate": "max", "initial": 0.5}),
    ("minimum", (9, 3), 20, 4, 1, "uniform", {"aggregate": "min"}),
    ("vector", (7,), 30, 5, None, "uniform", {"aggregate": "mean"}),
    ("no_sources", (60, 64), 60, 9, None, "pooled", {"aggregate": "mean"}),
    ("crowded", (40, 12), 2600, 30, 0, "skewed", {"aggregate": "mean"}),
    ("sorted_edges", (700, 12), 700, 9000, None, "pooled", {"deterministic": True}),
    ("odd_rows", (40, 5, 7), 600, 9000, 0, "skewed", {"deterministic": True}),
    ("many_rows", (50, 4), 600, 9000, None, "uniform", {}),
    ("many_weighted", (40, 2, 6), 900, 9000, 2, "skewed", {"aggregate": "mean"}),
    ("one_row", (40, 5), 1300, 8800, None, "hub", {"aggregate": "max"}),
    ("hubs", (40, 8), 1500, 8800, 0, "skewed", {"deterministic": True}),
    ("atomics", (40, 8), 1500, 8800, 0, "skewed", {}),
    ("atomics_for_each_edge", (40, 2, 6), 1100, 9000, 2, "uniform", {}),
    ("atomics_of_elements", (40, 5), 1100, 8800, None, "hub", {}),
    ("wide", (6, 300), 200, 8300, None, "skewed", {"aggregate": "min"}),
    ("crowded_rows", (40, 8), 9000, 8400, 0, "skewed", {"deterministic": True}),
    ("many_edges", (7,), 11_300, 1400, None, "uniform", {"aggregate": "max"}),
    ("many_sorted_edges", (11_300, 2), 11_300, 900, None, "pooled", {"aggregate": "mean"}),
    ("many_to_hubs", (40, 12), 11_400, 60, 0, "skewed", {"deterministic": True}),
    ("size_one", (1, 1), 1, 1, 0, "uniform", {}),
    ("no_edges", (3, 4), 0, 5, None, "uniform", {"aggregate": "max"}),
    ("no_elements", (3, 0), 5, 5, None, "uniform", {}),
)


def sample_calls() -> Iterator[Case]:
    """Yield every aggregate, with and without sources and weights, hubs, and what is empty."""
    for name, shape, edges, rows, heads, spread, attributes in _CASES:
        rng = np.random.default_rng(27)
        drawn = rng.random(edges)
        if spread == "hub":
            drawn[:] = 0.5
        elif spread == "skewed":
            drawn = np.where(rng.random(edges) < 0.5, 0.25, np.where(drawn < 0.5, 0.75, drawn))
        destinations: Array = (drawn * rows).astype(np.int64)
        sources: Array | None = rng.integers(-shape[0], shape[0], edges)
        if spread == "pooled":
            destinations, sources = np.sort(destinations), None
        else:
            destinations = np.where(rng.random(edges) < 0.2, destinations - rows, destinations)
        columns = () if heads == 0 else (heads,)
        weights = None if heads is None else rng.uniform(-1, 1, (edges, *columns))
        arrays: list[Array | None] = [
            rng.uniform(-1, 1, shape).astype(np.float32),
            destinations,
            np.array([rows], np.int64),
            sources,
            None if weights is None else weights.astype(np.float32),
        ]
        yield Case(name, arrays, attributes)
