"""MultiScaleDeformableAttention in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def deformable_attention(
    value: Array,
    spatial_shapes: Array,
    level_start_index: Array,
    sampling_loc: Array,
    attn_weight: Array,
) -> Array:
    """Sum pixels of ``value`` (N, S, M, D) at weighted locations of several levels."""
    items, pixels, heads, channels = value.shape
    queries, levels = attn_weight.shape[1], attn_weight.shape[3]
    output = np.zeros((items, queries, heads, channels), np.float64)
    # An additional pixel, which is 0, for what lies outside.
    padded = np.zeros((items, pixels + 1, heads, channels), np.float32)
    padded[:, :pixels] = value
    item, head = np.arange(items)[:, None, None, None], np.arange(heads)[:, None]
    with np.errstate(all="ignore"):
        for level in range(levels):
            location = sampling_loc[:, :, :, level].astype(np.float32)
            weight = attn_weight[:, :, :, level].astype(np.float32)
            size, start = spatial_shapes[level], int(level_start_index[level])
            for pixel, share in _corners(location, size, start, pixels):
                is_read = pixel < pixels
                read = np.where(is_read[..., None], padded[item, pixel, head], np.float32(0))
                factor = np.where(is_read, share * weight, np.float32(0))
                output += (read * factor[..., None]).sum(axis=3, dtype=np.float64)
        return output.reshape(items, queries, heads * channels).astype(value.dtype)


def _corners(location: Array, size: Array, start: int, pixels: int) -> list[tuple[Array, Array]]:
    """Return the four pixels around each location, and their shares; ``pixels`` if outside."""
    height, width = (int(each) for each in size)
    if min(height, width) <= 0 or start < 0 or start + height * width > pixels:
        return []  # the level does not lie in value
    half = np.float32(0.5)
    column = location[..., 0] * np.float32(width) - half
    row = location[..., 1] * np.float32(height) - half
    is_near = (column > -1) & (column < width) & (row > -1) & (row < height)
    column, row = (np.where(is_near, each, np.float32(0)) for each in (column, row))
    left, top = np.floor(column), np.floor(row)
    corners = []
    for down in (0, 1):
        for right in (0, 1):
            r, c = top.astype(np.int64) + down, left.astype(np.int64) + right
            across = column - left if right else 1 - (column - left)
            along = row - top if down else 1 - (row - top)
            pixel = start + r * width + c
            is_inside = is_near & (r >= 0) & (r < height) & (c >= 0) & (c < width)
            corners.append((np.where(is_inside, pixel, pixels), across * along))
    return corners
