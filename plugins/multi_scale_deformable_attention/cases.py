"""Sample calls of MultiScaleDeformableAttention."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pluginkit import Case

_LevelSizes = tuple[tuple[int, int], ...]
#: Each case's name, items, queries, heads, channels, points, and the sizes of the levels.
_CASES: tuple[tuple[str, tuple[int, int, int, int], tuple[int, _LevelSizes]], ...] = (
    ("pyramid", (2, 7, 4, 8), (4, ((6, 8), (3, 4), (2, 2)))),
    ("wide", (1, 5, 2, 32), (4, ((5, 7), (1, 1)))),
    ("odd_channels", (1, 9, 3, 17), (3, ((4, 3),))),
    ("many_samples", (1, 3, 1, 4), (9, ((3, 3), (2, 3), (1, 2)))),
    ("many_channels", (1, 2, 1, 72), (1, ((2, 2),))),
    ("many_queries", (1, 4096, 4, 4), (1, ((3, 3), (1, 2)))),
    ("one_pixel", (1, 1, 1, 1), (1, ((1, 1),))),
    ("no_queries", (2, 0, 2, 4), (2, ((2, 2),))),
    ("no_items", (0, 3, 2, 4), (2, ((2, 2),))),
    ("no_levels", (1, 3, 2, 4), (2, ())),
    ("no_points", (1, 2, 2, 4), (0, ((2, 2),))),
    ("an_empty_level", (1, 4, 2, 4), (2, ((2, 3), (0, 4)))),
)


def deformable_attention_cases() -> Iterator[Case]:
    """Yield levels of every size, odd and many channels, locations outside, and empty inputs."""
    for name, (items, queries, heads, channels), (points, sizes) in _CASES:
        rng = np.random.default_rng(22)
        counts = [height * width for height, width in sizes]
        starts = np.cumsum([0, *counts])[: len(sizes)]
        at = (items, queries, heads, len(sizes), points)
        # Locations are multiples of 1/64, which every type represents; some are outside.
        location = rng.integers(-16, 81, (*at, 2)) / 64
        location = np.where(rng.random(location.shape) < 0.05, 3.0, location)
        yield Case(
            name,
            [
                rng.uniform(-1, 1, (items, sum(counts), heads, channels)).astype(np.float32),
                np.array(sizes, np.int64).reshape(-1, 2),
                np.asarray(starts, np.int64),
                location.astype(np.float32),
                rng.uniform(0, 1, at).astype(np.float32),
            ],
            {},
        )
