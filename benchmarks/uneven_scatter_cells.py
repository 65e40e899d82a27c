"""ScatterElements and its peers where single elements scatter, or meet in few cells, on a GPU.

    python benchmarks/uneven_scatter_cells.py

Values are whole numbers whose sums are exact in every order, so that one lost update shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peers import run_bench
from uneven_scatter_elements import PEERS as PEERS
from uneven_scatter_elements import Places, Uneven, workloads_of

from pluginkit import bfloat16, float16, float32
from pluginkit.bench.workload import Workload
from pluginkit.plugins.scatter_elements import ScatterElements


def anywhere(xp: Any, rng: Any, data: tuple[int, ...], updates: tuple[int, ...]) -> Any:
    """Return a random index for each update, along the last axis of vectors and matrices."""
    return rng.integers(0, data[-1], updates)


def each_element(xp: Any, rng: Any, data: tuple[int, ...], updates: tuple[int, ...]) -> Any:
    """Return a random index for each update, along the first axis."""
    return rng.integers(0, data[0], updates)


def of_cells(cells: int) -> Places:
    """Return indices that are all among the first ``cells``."""
    return lambda xp, rng, data, updates: rng.integers(0, cells, updates)


def in_stretches(length: int) -> Places:
    """Return random indices, but every other ``length`` updates are in one cell."""

    def places(xp: Any, rng: Any, data: tuple[int, ...], updates: tuple[int, ...]) -> Any:
        is_in_one = xp.arange(updates[0]) // length % 2 == 1
        return xp.where(is_in_one, 7, anywhere(xp, rng, data, updates))

    return places


_TILES, _CELLS = ((4096, 4096), (4096, 1024), 1), ((1_000_000,), (16_000_000,), 0)
_NODES, _EDGES = (1_000_000, 64), (4_000_000, 64)
_COLUMNS = (slice(None), slice(None, None, 63))
_ROWS = (slice(None, None, 273),)
_BOTH, _ALL = (float32, float16), (float32, float16, bfloat16)
CASES = {
    "every element its own": Uneven(_NODES, _EDGES, 0, each_element, _COLUMNS, _BOTH),
    "rows4k: one cell": Uneven(*_TILES, of_cells(1), _ROWS, _BOTH, True),
    "rows4k: 4 cells": Uneven(*_TILES, of_cells(4), _ROWS),
    "rows4k: 16 cells": Uneven(*_TILES, of_cells(16), _ROWS, _ALL),
    "histogram": Uneven(*_CELLS, anywhere, dtypes=_ALL),
    "histogram: 16 cells": Uneven(*_CELLS, of_cells(16)),
    "histogram: 1000 cells": Uneven(*_CELLS, of_cells(1000)),
    "histogram: a half in one cell": Uneven(*_CELLS, in_stretches(8_000_000)),
    "histogram: stretches in one cell": Uneven(*_CELLS, in_stretches(2**14)),
    "mid3d: one cell": Uneven((32, 128, 1024), (32, 128, 1024), 1, of_cells(1), dtypes=_ALL),
}


def workloads() -> Iterator[Workload]:
    """Yield sums of every case, in order for some."""
    return workloads_of(CASES)


if __name__ == "__main__":
    raise SystemExit(run_bench(ScatterElements, __file__))
