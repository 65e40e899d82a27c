"""AntialiasResize in numpy, in double."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.plugins.antialias_resize.axes import region_along

if TYPE_CHECKING:
    from pluginkit.plugins.antialias_resize import AntialiasResize

Floats = npt.NDArray[np.float64]


def antialias_resize(
    plugin: AntialiasResize, x: npt.NDArray[Any], sizes: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return x with both axes resized, one after the other."""
    y = x.astype(np.float64)
    for number, axis in enumerate(plugin.axes):
        size, resized = x.shape[axis], int(sizes[number])
        scale = plugin.scales[number] if plugin.scales is not None else resized / max(size, 1)
        region = region_along(plugin, number)
        if (size, 1.0, (0.0, 1.0)) != (resized, scale, region):
            y = _resize(plugin, np.moveaxis(y, axis, 0), resized, scale, region, axis)
    return y.astype(x.dtype)


def _resize(
    plugin: AntialiasResize,
    x: Floats,
    resized: int,
    scale: float,
    region: tuple[float, float],
    axis: int,
) -> Floats:
    """Return x with its first axis resized and moved to ``axis``."""
    size = len(x)
    if x.size == 0 or resized == 0:
        return np.moveaxis(np.zeros((resized, *x.shape[1:])), 0, axis)
    at = coordinates(plugin.coordinate_transformation_mode, size, resized, scale, region)
    shrink = min(scale, 1.0)
    reach = int(np.ceil((1 if plugin.mode == "linear" else 2) / shrink))
    near = np.floor(at).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(near - at[:, None]) * shrink
    weights = filter_of(plugin.mode, plugin.cubic_coeff_a, distance)
    # An element at the end of the filter has no weight, and whether it is read is no rounding.
    is_read = distance < (1 if plugin.mode == "linear" else 2) * (1 - 2**-20)
    if plugin.exclude_outside:
        is_read &= (near >= 0) & (near < size)
    weights[~is_read] = 0
    sums = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums != 0)
    elements = x[np.clip(near, 0, size - 1)]
    factors, mask = (each.reshape(*near.shape, *[1] * (x.ndim - 1)) for each in (weights, is_read))
    with np.errstate(invalid="ignore"):  # infinities
        y = np.where(mask, elements * factors, 0).sum(axis=1)
    if plugin.coordinate_transformation_mode == "tf_crop_and_resize":
        y[(at < 0) | (at > size - 1)] = plugin.extrapolation_value
    return np.moveaxis(y, 0, axis)


def coordinates(
    mode: str, size: int, resized: int, scale: float, region: tuple[float, float]
) -> Floats:
    """Return where each new element lies among the old ones: [resized]."""
    new, length = np.arange(resized, dtype=np.float64), scale * size
    if mode == "asymmetric":
        return new / scale
    if mode == "align_corners":
        return new * (size - 1) / (length - 1) if resized > 1 else 0 * new
    if mode == "tf_crop_and_resize":
        share = new / (length - 1) if length != 1 else 0 * new + 0.5
        return (region[0] + share * (region[1] - region[0])) * (size - 1)
    if mode == "pytorch_half_pixel" and length == 1:
        return 0 * new - 0.5
    shift = (1 - resized / length) * size / 2
    return (new + 0.5) / scale - 0.5 + (shift if mode == "half_pixel_symmetric" else 0)


def filter_of(mode: str, a: float, distance: Floats) -> Floats:
    """Return the weights of the linear or the cubic filter at these distances."""
    if mode == "linear":
        return np.clip(1 - distance, 0, None)
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
