"""Sample calls of ScatterElements."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pluginkit import Case

_CASES = (
    # name, data, updates, axis, reduction
    ("vector", (11,), (5,), 0, "add"),
    ("duplicates", (4,), (13,), 0, "add"),
    ("columns", (3, 5), (3, 5), 1, "max"),
    ("rows", (7, 5), (3, 5), 0, "min"),
    ("smaller_updates", (5, 9, 7), (3, 4, 2), 1, "add"),
    ("negative_axis", (6, 5, 4), (6, 7, 4), -2, "mul"),
    ("last_axis", (17, 33), (17, 15), -1, "add"),
    ("write", (9, 31), (4, 29), 0, "none"),
    ("write_inner", (3, 8, 5), (3, 8, 5), 2, "none"),
    ("size_one", (1, 1, 1), (1, 6, 1), 1, "mul"),
    ("empty_updates", (4, 6), (0, 6), 0, "add"),
    ("empty_data", (0, 6), (0, 4), 1, "max"),
    ("rank_eight", (2, 3, 2, 3, 2, 3, 2, 3), (2, 2, 1, 3, 2, 2, 2, 2), 4, "min"),
    ("rank_eight_full", (2, 1, 2, 2, 3, 2, 1, 2), (2, 1, 2, 2, 5, 2, 1, 2), 4, "add"),
    ("graph", (101, 16), (523, 16), 0, "add"),
)


def sample_calls() -> Iterator[Case]:
    """Yield every reduction, ranks 1 to 8, and updates that are small, empty or repeated."""
    rng = np.random.default_rng(18)
    for name, data, updates, axis, reduction in _CASES:
        size = data[axis]
        if reduction == "none":  # the result for an index that occurs twice is open
            every = rng.permuted(np.indices(data)[axis], axis=axis)
            indices = every[tuple(slice(n) for n in updates)]
            indices = np.where(rng.random(updates) < 0.3, indices - size, indices)
        else:
            indices = rng.integers(-size, max(size, 1), updates)
        values = [rng.uniform(-4, 4, shape).astype(np.float32) for shape in (data, updates)]
        attributes = {"axis": axis, "reduction": reduction}
        yield Case(name, [values[0], indices, values[1]], attributes)
