"""Sample calls of AntialiasResize."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

_CROP: dict[str, Any] = {
    "coordinate_transformation_mode": "tf_crop_and_resize",
    "roi": (-0.1, 0.2, 0.9, 1.3),
    "extrapolation_value": 5.0,
}
#: Each case's name, the shape of x, the sizes and the attributes.
_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, int], dict[str, Any]], ...] = (
    ("smaller", (2, 3, 21, 37), (8, 9), {}),
    ("torch", (1, 2, 19, 40), (7, 13), {"exclude_outside": True}),
    ("larger", (1, 2, 7, 9), (15, 31), {"exclude_outside": True}),
    ("cubic", (2, 1, 23, 30), (6, 17), {"mode": "cubic", "exclude_outside": True}),
    ("cubic_edges", (1, 1, 5, 6), (3, 2), {"mode": "cubic", "cubic_coeff_a": -0.5}),
    ("corners", (1, 2, 12, 16), (5, 2), {"coordinate_transformation_mode": "align_corners"}),
    ("asymmetric", (2, 1, 12, 16), (9, 5), {"coordinate_transformation_mode": "asymmetric"}),
    (
        "symmetric",
        (1, 1, 10, 14),
        (5, 9),
        {"coordinate_transformation_mode": "half_pixel_symmetric", "scales": (0.55, 0.7)},
    ),
    ("pytorch", (1, 1, 6, 6), (1, 4), {"coordinate_transformation_mode": "pytorch_half_pixel"}),
    ("channels_last", (2, 18, 11, 3), (5, 6), {"axes": (1, 2)}),
    ("apart", (2, 9, 5, 12), (4, 8), {"axes": (1, -1)}),
    ("much_smaller", (1, 2, 130, 140), (3, 2), {"exclude_outside": True}),
    ("wide_to_narrow", (1, 3, 2, 300), (5, 4), {"mode": "cubic"}),
    ("one_axis", (3, 4, 50), (4, 23), {"axes": (1, 2)}),
    ("first_axis", (1, 33, 5), (8, 5), {"axes": (1, 2)}),
    ("same", (2, 5, 6), (5, 6), {"axes": (1, 2)}),
    ("crop", (1, 2, 9, 12), (7, 5), _CROP),
    ("crop_to_one", (1, 1, 9, 12), (1, 1), _CROP),
    ("one_pixel", (2, 1, 1, 1), (4, 3), {"mode": "cubic"}),
    ("no_images", (0, 2, 5, 6), (3, 4), {}),
    ("to_nothing", (1, 2, 5, 6), (3, 0), {}),
)


def antialias_resize_cases() -> Iterator[Case]:
    """Yield every mode, axes at the end, inside and apart, much smaller, larger, and empty."""
    rng = np.random.default_rng(18)
    for name, shape, sizes, attributes in _CASES:
        x = rng.normal(size=shape).astype(np.float32)
        yield Case(name, [x, np.array(sizes, np.int64)], attributes)
