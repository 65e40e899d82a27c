"""MaxRoiPool in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Pixels further from the origin count as this far away.
FURTHEST = 2**29


def max_roi_pool(x: Array, rois: Array, pooled_shape: Sequence[int], spatial_scale: float) -> Array:
    """Pool regions ``rois`` (R, 5) of the images ``x`` (N, C, H, W)."""
    y = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
    lowest = float(ml_dtypes.finfo(x.dtype).min)  # type: ignore[no-untyped-call]
    for region, roi in enumerate(rois.astype(np.float32)):
        if not 0 <= roi[0] < len(x):
            y[region] = np.nan
            continue
        image = x[int(roi[0])].astype(np.float32)
        rows = _bins(roi[2], roi[4], spatial_scale, pooled_shape[0], x.shape[2])
        columns = _bins(roi[1], roi[3], spatial_scale, pooled_shape[1], x.shape[3])
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                pixels = image[:, row, column]
                if pixels.size:
                    finite = np.where(np.isnan(pixels), -np.inf, pixels)
                    y[region, :, i, j] = finite.max(axis=(1, 2), initial=lowest)
    return y


def _bins(low: np.float32, high: np.float32, scale: float, bins: int, size: int) -> list[slice]:
    """Return the pixels of each bin along an axis."""
    start, end = _pixel(low * np.float32(scale)), _pixel(high * np.float32(scale))
    bin_size = np.float32(max(end - start + 1, 1)) / np.float32(bins)
    return [
        slice(
            min(max(start + int(np.floor(np.float32(bin_) * bin_size)), 0), size),
            min(max(start + int(np.ceil(np.float32(bin_ + 1) * bin_size)), 0), size),
        )
        for bin_ in range(bins)
    ]


def _pixel(coordinate: np.float32) -> int:
    """Round a coordinate to a pixel, halves away from zero; NaN to 0."""
    if np.isnan(coordinate):
        return 0
    near = min(max(float(coordinate), -FURTHEST), FURTHEST)
    return int(np.copysign(np.floor(abs(near) + 0.5), near))
