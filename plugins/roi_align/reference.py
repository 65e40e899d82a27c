"""RoiAlign in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.plugins.roi_align.launches import KEPT

if TYPE_CHECKING:
    from pluginkit.plugins.roi_align import RoiAlign

Array = npt.NDArray[Any]
_INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class _Axis:
    """A region along one axis; see kernel.cu."""

    start: np.float32
    bin_size: np.float32
    samples: int
    size: int

    def samples_of(self, bin_: int) -> tuple[Array, Array, Array, Array]:
        """Return the pixels before and after each sample inside, and their weights."""
        index = np.arange(*self._inside(bin_)).astype(np.float32)
        within = (index + np.float32(0.5)) * self.bin_size / np.float32(self.samples)
        at = (self.start + np.float32(bin_) * self.bin_size) + within
        at = np.maximum(at[(at >= -1) & (at <= self.size)], np.float32(0))
        low = np.minimum(at.astype(np.int64), self.size - 1)
        after = np.where(low == self.size - 1, np.float32(0), at - low.astype(np.float32))
        return low, np.minimum(low + 1, self.size - 1), np.float32(1) - after, after

    def _inside(self, bin_: int) -> tuple[int, int]:
        if self.samples <= KEPT:
            return 0, self.samples
        size = float(self.bin_size)
        first, step = float(self.start) + bin_ * size, size / self.samples
        margin = 2 + (abs(first) + size) * 2.0**-21 / step
        begin, end = (-1 - first) / step - margin, (self.size - first) / step + margin
        if not (begin < self.samples and end > 0):
            return 0, 0
        return int(max(begin, 0)), int(min(end, self.samples))


def roi_align(plugin: RoiAlign, x: Array, rois: Array, batch_indices: Array) -> Array:
    """Crop regions ``rois`` (R, 4) of the images ``x`` (N, C, H, W) with a plugin's attributes."""
    shape = (len(rois), x.shape[1], plugin.output_height, plugin.output_width)
    y = np.zeros(shape, np.float32)
    images = x.astype(np.float32)
    with np.errstate(all="ignore"):
        for region, (roi, image) in enumerate(
            zip(rois.astype(np.float32), batch_indices, strict=True)
        ):
            if not 0 <= image < len(x):
                y[region] = np.nan
                continue
            pixels = images[image]
            along_y = _axis(plugin, roi[1], roi[3], plugin.output_height, x.shape[2])
            along_x = _axis(plugin, roi[0], roi[2], plugin.output_width, x.shape[3])
            rows = [along_y.samples_of(bin_) for bin_ in range(plugin.output_height)]
            columns = [along_x.samples_of(bin_) for bin_ in range(plugin.output_width)]
            count = along_y.samples * along_x.samples
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    y[region, :, i, j] = _bin(pixels, row, column, count, plugin.mode)
        return y.astype(x.dtype)


def _axis(plugin: RoiAlign, low: np.float32, high: np.float32, bins: int, size: int) -> _Axis:
    is_half_pixel = plugin.coordinate_transformation_mode == "half_pixel"
    scale, offset = np.float32(plugin.spatial_scale), np.float32(0.5 if is_half_pixel else 0)
    start = low * scale - offset
    length = high * scale - offset - start
    if not is_half_pixel:
        length = np.maximum(length, np.float32(1))  # keeps a NaN
    bin_size = length / np.float32(bins)
    samples = plugin.sampling_ratio
    if samples == 0 and not np.isnan(bin_size):
        samples = int(min(max(np.ceil(bin_size), 0), _INT_MAX))
    return _Axis(start, bin_size, samples, size)


def _bin(pixels: Array, row: Any, column: Any, count: int, mode: str) -> Array:
    """Combine the samples of a bin, for every channel."""
    corners = [
        pixels[:, at_y[:, None], at_x[None, :]] * (weight_y[:, None] * weight_x[None, :])
        for at_y, weight_y in ((row[0], row[2]), (row[1], row[3]))
        for at_x, weight_x in ((column[0], column[2]), (column[1], column[3]))
    ]
    if mode == "avg":
        total: Array = sum(corner.sum(axis=(1, 2), dtype=np.float64) for corner in corners)
        return total / max(count, 1)
    is_all = count and len(row[0]) * len(column[0]) == count
    none = -np.inf if is_all else 0  # samples outside are 0
    maxima = [corner.max(axis=(1, 2), initial=none) for corner in corners]
    return np.asarray(np.max(maxima, axis=0))
