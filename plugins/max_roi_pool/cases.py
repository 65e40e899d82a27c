"""Sample calls of MaxRoiPool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

#: Each case's name, the shape of X, its regions and the attributes.
_CASES: tuple[tuple[str, tuple[int, ...], int, dict[str, Any]], ...] = (
    ("seven", (2, 5, 20, 24), 6, {"pooled_shape": (7, 7), "spatial_scale": 0.25}),
    ("whole_image", (2, 9, 33, 37), 4, {"pooled_shape": (1, 1), "spatial_scale": 0.01}),
    ("many_bins", (1, 24, 40, 45), 10, {"pooled_shape": (7, 10), "spatial_scale": 2.0}),
    ("more_bins_than_pixels", (1, 2, 5, 6), 5, {"pooled_shape": (9, 11)}),
    ("one_pixel", (1, 1, 1, 1), 2, {"pooled_shape": (2, 3)}),
    ("no_pixels", (1, 2, 0, 4), 2, {"pooled_shape": (2, 3)}),
    ("no_regions", (1, 2, 5, 5), 0, {"pooled_shape": (7, 7)}),
    ("no_channels", (1, 0, 5, 5), 2, {"pooled_shape": (2, 2)}),
)


def max_roi_pool_cases() -> Iterator[Case]:
    """Yield regions inside, outside, huge, and of images that are not there, and empty."""
    for name, shape, regions, attributes in _CASES:
        rng = np.random.default_rng(22)
        images, _, height, width = shape
        size = np.array([width, height]) / attributes.get("spatial_scale", 1.0)
        low = rng.uniform(-0.2, 0.9, (regions, 2)) * size
        corners = np.concatenate([low, low + rng.uniform(0, 0.8, low.shape) * size], axis=1)
        if regions > 3:
            corners[1] = corners[1][[2, 3, 0, 1]]  # corners that are the wrong way round
            corners[2] += 3 * size.max()  # outside
        at = rng.integers(0, images + (regions > 4), (regions, 1))
        # Halves: in every type they are the same pixels.
        rois = np.concatenate([at, np.round(corners * 2) / 2], axis=1)
        yield Case(
            name, [rng.normal(size=shape).astype(np.float32), rois.astype(np.float32)], attributes
        )
