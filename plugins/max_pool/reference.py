"""MaxPool in numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.plugins.max_pool.windows import windows_along

if TYPE_CHECKING:
    from pluginkit.plugins.max_pool import MaxPool

Array = npt.NDArray[Any]


def max_pool(plugin: MaxPool, x: Array) -> tuple[Array, Array]:
    """Return the greatest element of each window, and its index in all of x."""
    batch, channels, *sizes = x.shape
    windows = [windows_along(plugin, size, axis) for axis, size in enumerate(sizes)]
    counts, rank, area = [each.count for each in windows], len(sizes), math.prod(sizes)
    grid = (*counts, *(each.kernel for each in windows))
    inside, place, index = np.ones(grid, bool), np.zeros(grid, np.int64), np.zeros(grid, np.int64)
    for axis, each in enumerate(windows):
        others = [other for other in range(2 * rank) if other % rank != axis]
        at = np.expand_dims(each.elements(), others)
        inside &= (at >= 0) & (at < each.size)
        place += at * math.prod(sizes[axis + 1 :])
        index += at * math.prod(sizes[:axis] if plugin.storage_order else sizes[axis + 1 :])
    inside, place, index = (each.reshape(math.prod(counts), -1) for each in (inside, place, index))
    shape = (batch, channels, *counts)
    if math.prod(shape) == 0:
        return np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
    least = np.iinfo(x.dtype).min if x.dtype == np.int8 else -np.inf
    flat = x.reshape(batch * channels, area).astype(np.float32)
    elements = np.where(inside, flat[:, np.where(inside, place, 0)], least)
    # In a window of nothing but the least number its first element inside is the greatest.
    is_least = (elements == least).all(axis=2)
    best = np.where(is_least, inside.argmax(axis=1), elements.argmax(axis=2))
    values = np.take_along_axis(elements, best[..., None], 2)[..., 0]
    within = index[np.arange(len(index)), best]
    planes = np.arange(batch * channels)[:, None] * area
    return values.astype(x.dtype).reshape(shape), (planes + within).reshape(shape)
