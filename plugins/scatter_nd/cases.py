"""Sample calls of ScatterND."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from pluginkit import Case

_CASES = (
    # name, data, indices without their last dimension, depth, reduction
    ("vector", (11,), (5,), 1, "add"),
    ("duplicates", (3,), (7, 2), 1, "add"),
    ("one_update", (4, 3), (), 2, "max"),
    ("all_of_data", (3, 5), (4,), 0, "add"),
    ("slices", (6, 5, 4), (9,), 1, "mul"),
    ("rows", (6, 5, 4), (3, 5), 2, "min"),
    ("elements", (6, 5, 4), (40,), 3, "max"),
    ("odd_elements", (7, 3, 3), (50,), 3, "add"),
    ("write_slices", (9, 31), (4,), 1, "none"),
    ("write_elements", (9, 31), (60, 2), 2, "none"),
    ("size_one", (1, 1), (6,), 1, "mul"),
    ("empty_updates", (4, 6), (0,), 1, "add"),
    ("empty_slices", (4, 0), (3,), 1, "max"),
    ("empty_data", (0, 6), (0,), 2, "min"),
    ("rank_eight", (2, 3, 2, 1, 2, 3, 2, 2), (70,), 8, "add"),
    ("voxels", (4, 5, 6, 16), (120,), 3, "min"),
    ("graph", (300, 64), (2100,), 1, "add"),
    ("graph_of_odd_rows", (1500, 33), (4100,), 1, "max"),
    ("write_rows", (40, 60, 64), (2100,), 2, "none"),
)


def sample_calls() -> Iterator[Case]:
    """Yield every reduction and depth; negative, repeated and no indices; lists and none."""
    rng = np.random.default_rng(16)
    for name, data, count, depth, reduction in _CASES:
        sizes = np.array(data[:depth], np.int64)
        total, wanted = prod(data[:depth]), prod(count)
        # With "none" the result for a tuple that occurs twice is open.
        rows = rng.permutation(total)[:wanted]
        if reduction != "none":
            rows = (rng.random(wanted) * total).astype(np.int64)
        tuples = np.stack(np.unravel_index(rows, sizes), -1) if depth else rows[:, None][:, :0]
        indices = np.where(rng.random(tuples.shape) < 0.3, tuples - sizes, tuples)
        shapes = data, (*count, *data[depth:])
        values = [rng.uniform(-4, 4, shape).astype(np.float32) for shape in shapes]
        arrays = [values[0], indices.reshape(*count, depth), values[1]]
        yield Case(name, arrays, {"reduction": reduction})
