"""Sample calls of RoiAlign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

_SEVEN: dict[str, Any] = {"output_height": 7, "output_width": 7}
_LEGACY: dict[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}
#: Each case's name, the shape of X, its regions and the attributes.
_CASES: tuple[tuple[str, tuple[int, ...], int, dict[str, Any]], ...] = (
    ("seven", (2, 5, 20, 24), 6, {**_SEVEN, "sampling_ratio": 2, "spatial_scale": 0.25}),
    ("adaptive", (2, 3, 20, 24), 6, {**_SEVEN, "spatial_scale": 0.25}),
    ("max", (2, 4, 20, 24), 5, {**_SEVEN, "mode": "max", "sampling_ratio": 2}),
    ("max_adaptive", (1, 9, 13, 17), 4, {"mode": "max", "output_height": 3}),
    ("legacy", (1, 2, 20, 24), 6, {**_SEVEN, **_LEGACY, "spatial_scale": 0.25}),
    ("legacy_max", (1, 2, 9, 9), 3, {**_LEGACY, "mode": "max", "output_width": 2}),
    ("many_samples", (1, 1, 9, 11), 4, {"sampling_ratio": 23, "output_height": 30}),
    ("one_pixel", (1, 1, 1, 1), 2, {"output_height": 2, "output_width": 3}),
    ("size_one", (1, 1, 5, 1), 1, {}),
    ("no_regions", (1, 2, 5, 5), 0, _SEVEN),
    ("no_channels", (1, 0, 5, 5), 2, _SEVEN),
)


def roi_align_cases() -> Iterator[Case]:
    """Yield both modes and both pixel centres, regions inside, outside and huge, and empty."""
    for name, shape, regions, attributes in _CASES:
        rng = np.random.default_rng(22)
        scale: float = attributes.get("spatial_scale", 1.0)
        height, width = shape[2] / scale, shape[3] / scale
        low = rng.uniform(-0.2, 0.9, (regions, 2)) * (width, height)
        rois = np.concatenate([low, low + rng.uniform(0, 0.8, low.shape) * (width, height)], axis=1)
        if regions > 3:
            rois[1] = rois[1][[2, 3, 0, 1]]  # corners that are the wrong way round
            rois[2] += 3 * width  # outside
        x = rng.standard_normal(shape).astype(np.float32)
        images = rng.integers(0, shape[0], regions)
        yield Case(name, [x, rois.astype(np.float32), images], attributes)
