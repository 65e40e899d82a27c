"""DeformConv in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

Array = npt.NDArray[Any]


def deform_conv(
    plugin: DeformConv, x: Array, w: Array, offset: Array, bias: Array | None, mask: Array | None
) -> Array:
    """Convolve ``x`` (N, C, H, W) with ``w``, whose taps are moved by ``offset``."""
    batch, channels = x.shape[:2]
    taps_y, taps_x = w.shape[2:]
    taps, parts = taps_y * taps_x, plugin.offset_group
    out = offset.shape[2:]
    moved = offset.astype(np.float32).reshape(batch, parts, taps, 2, *out)
    factor = np.ones((batch, parts, taps, *out), np.float32)
    if mask is not None:
        factor = mask.astype(np.float32).reshape(factor.shape)
    images = x.astype(np.float32).reshape(batch, parts, channels // parts, *x.shape[2:])
    rows, columns = (
        np.arange(size, dtype=np.float32) * plugin.strides[axis] - plugin.pads[axis]
        for axis, size in enumerate(out)
    )
    sampled = np.zeros((batch, parts, channels // parts, taps, *out), np.float32)
    with np.errstate(all="ignore"):
        for tap in range(taps):
            y = (rows + np.float32(tap // taps_x * plugin.dilations[0]))[:, None]
            x_ = (columns + np.float32(tap % taps_x * plugin.dilations[1]))[None, :]
            for image in range(batch):
                for part in range(parts):
                    at_y, at_x = moved[image, part, tap]
                    pixels = _between(images[image, part], y + at_y, x_ + at_x)
                    sampled[image, part, :, tap] = pixels * factor[image, part, tap]
        groups = plugin.group
        flat = sampled.reshape(batch, groups, channels // groups * taps, out[0] * out[1])
        kernels = w.astype(np.float64).reshape(groups, w.shape[0] // groups, flat.shape[2])
        total = (kernels @ flat.astype(np.float64)).reshape(batch, w.shape[0], *out)
        if bias is not None:
            total = total + bias.astype(np.float64)[:, None, None]
        return np.asarray(total.astype(np.float32).astype(x.dtype))


def _between(pixels: Array, y: Array, x: Array) -> Array:
    """Interpolate ``pixels`` (C, H, W) at positions (y, x)."""
    height, width = pixels.shape[1:]
    is_near = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = np.where(is_near, y, np.float32(0)), np.where(is_near, x, np.float32(0))
    top, left = np.floor(y), np.floor(x)
    total = np.zeros((len(pixels), *y.shape), np.float32)
    for down in (0, 1):
        for right in (0, 1):
            row, column = (top + down).astype(np.int64), (left + right).astype(np.int64)
            weight_y, weight_x = (y - top, x - left)
            weight = (weight_y if down else 1 - weight_y) * (weight_x if right else 1 - weight_x)
            is_read = is_near & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            if is_read.any():
                read = pixels[:, np.where(is_read, row, 0), np.where(is_read, column, 0)]
                total += np.where(is_read, read, np.float32(0)) * weight
    return total
