"""ResizedArgMax in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: The most rows or columns of a resized map.
LARGEST = 65536


def resized_arg_max(
    maps: Array, heights: Array, widths: Array, cubic_coeff_a: float
) -> tuple[Array, Array, Array]:
    """Return the row, the column and the value of the largest pixel of each map (N, K, H, W)."""
    rows, columns = (np.zeros(maps.shape[:2], np.int64) for _ in range(2))
    largest = np.zeros(maps.shape[:2], np.float32)
    with np.errstate(all="ignore"):
        for n, (height, width) in enumerate(zip(heights, widths, strict=True)):
            size = [int(min(max(each, 1), LARGEST)) for each in (height, width)]
            at_y, weight_y = _taps(size[0], maps.shape[2], np.float32(cubic_coeff_a))
            at_x, weight_x = _taps(size[1], maps.shape[3], np.float32(cubic_coeff_a))
            for k, pixels in enumerate(maps[n]):
                across = sum(pixels[:, at_x[tap]] * weight_x[tap] for tap in range(4))
                resized = sum(across[at_y[tap]] * weight_y[tap][:, None] for tap in range(4))
                place = int(np.where(np.isnan(resized), -np.inf, resized).argmax())
                rows[n, k], columns[n, k] = divmod(place, size[1])
                largest[n, k] = resized.ravel()[place]
    return rows, columns, largest


def _taps(size: int, pixels: int, a: np.float32) -> tuple[list[Array], list[Array]]:
    """Return for each of four taps the pixel that it reads for each resized one, and its weight."""
    one, half = np.float32(1), np.float32(0.5)
    scale = np.float32(size) / np.float32(pixels)
    at = (np.arange(size, dtype=np.float32) + half) / scale - half
    first = np.floor(at)
    t = at - first
    weights = [_far(t + one, a), _near(t, a), _near(one - t, a), _far(np.float32(2) - t, a)]
    index = first.astype(np.int64)
    return [np.clip(index + tap - 1, 0, pixels - 1) for tap in range(4)], weights


def _near(t: Array, a: np.float32) -> Array:
    return np.asarray(((a + np.float32(2)) * t - (a + np.float32(3))) * t * t + np.float32(1))


def _far(t: Array, a: np.float32) -> Array:
    return np.asarray(((a * t - 5 * a) * t + 8 * a) * t - 4 * a)
