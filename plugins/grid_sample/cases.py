"""Sample calls of GridSample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pluginkit import Case

_CASES = (
    # name, x, the spatial sizes of y, mode, padding_mode, align_corners, the largest coordinate
    ("labels", (2, 3, 4, 5), (3, 7), "nearest", "zeros", False, 1.5),
    ("image", (2, 3, 5, 7), (4, 6), "linear", "zeros", False, 1.5),
    ("image_border", (1, 5, 7, 3), (3, 5), "linear", "border", True, 2),
    ("image_reflection", (1, 2, 4, 6), (5, 4), "linear", "reflection", False, 2),
    ("labels_reflection", (1, 2, 3, 5), (5, 6), "nearest", "reflection", True, 2),
    ("cubic", (1, 2, 6, 5), (4, 5), "cubic", "zeros", True, 1.5),
    ("cubic_border", (1, 2, 5, 5), (3, 6), "cubic", "border", False, 1),
    ("cubic_reflection", (1, 1, 5, 7), (3, 4), "cubic", "reflection", True, 2),
    ("volume", (2, 3, 3, 4, 5), (2, 3, 3), "linear", "zeros", True, 1.5),
    ("volume_nearest", (1, 2, 4, 3, 2), (3, 2, 4), "nearest", "border", False, 2),
    ("volume_reflection", (1, 2, 2, 3, 4), (2, 2, 4), "linear", "reflection", True, 2),
    ("volume_cubic", (1, 2, 3, 4, 3), (2, 2, 2), "cubic", "zeros", False, 1.5),
    ("sequence", (2, 3, 7), (9,), "linear", "border", True, 1.5),
    ("sequence_cubic", (2, 3, 6), (5,), "cubic", "reflection", False, 2),
    ("four_axes", (1, 2, 2, 3, 2, 3), (2, 1, 2, 3), "linear", "zeros", False, 1.5),
    ("four_axes_nearest", (1, 2, 2, 3, 2, 3), (2, 1, 2, 3), "nearest", "zeros", True, 1.5),
    ("size_one", (1, 1, 1, 1), (1, 3), "linear", "zeros", False, 2),
    ("size_one_aligned", (1, 2, 1, 3), (1, 3), "linear", "border", True, 1),
    ("empty_batch", (0, 3, 4, 4), (2, 2), "linear", "zeros", False, 1),
    ("empty_output", (2, 3, 4, 4), (0, 5), "cubic", "border", True, 1),
    ("no_pixels", (1, 2, 0, 3), (2, 2), "linear", "zeros", False, 1),
    ("tiles", (1, 18, 6, 7), (10, 40), "nearest", "border", False, 1.5),
)


def sample_calls() -> Iterator[Case]:
    """Yield every mode and padding, ranks 3 to 8, odd, empty and size-1 axes, pairs and tiles.

    Coordinates are multiples of 1/8, which all types hold, and many are halfway between pixels.
    """
    rng = np.random.default_rng(22)
    for name, shape, out_sizes, mode, padding_mode, align_corners, reach in _CASES:
        x = rng.uniform(-1, 1, shape)
        limit = int(8 * reach)
        points = rng.integers(-limit, limit + 1, (shape[0], *out_sizes, len(shape) - 2)) / 8
        attributes = {
            "mode": mode,
            "padding_mode": padding_mode,
            "align_corners": align_corners,
        }
        arrays = [(8 * x if mode == "nearest" else x), points]
        yield Case(name, [array.astype(np.float32) for array in arrays], attributes)
