"""Sample calls of ResizedArgMax."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pluginkit import Case

#: Each case's name, the shape of the maps, and their resized heights and widths.
_CASES: tuple[tuple[str, tuple[int, int, int, int], list[int], list[int]], ...] = (
    ("grow_and_shrink", (3, 2, 5, 6), [9, 3, 17], [13, 2, 1]),
    ("same_size", (1, 3, 7, 5), [7], [5]),
    ("one_pixel", (1, 1, 1, 1), [3], [4]),
    ("sizes_below_one", (2, 1, 3, 3), [0, -5], [4, 0]),
    ("more_columns_than_threads", (1, 1, 2, 3), [5], [1100]),
    ("more_rows_than_threads", (1, 2, 4, 2), [600], [1]),
    ("a_large_map", (1, 1, 65, 64), [20], [19]),
    ("no_items", (0, 17, 5, 5), [], []),
    ("no_maps", (2, 0, 5, 5), [3, 4], [5, 6]),
)


def resized_arg_max_cases() -> Iterator[Case]:
    """Yield maps that grow and shrink, ties, sizes out of range, large maps and empty."""
    for name, shape, heights, widths in _CASES:
        maps = np.random.default_rng(22).normal(size=shape).astype(np.float32)
        sizes = [np.array(each, np.int64) for each in (heights, widths)]
        yield Case(name, [maps, *sizes], {})
    ones = np.ones((1, 2, 4, 4), np.float32)
    yield Case("all_equal", [ones, np.array([4]), np.array([4])], {"cubic_coeff_a": -0.5})
