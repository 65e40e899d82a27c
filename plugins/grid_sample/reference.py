"""GridSample in numpy, for any number of spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Mode = Literal["linear", "nearest", "cubic"]
Padding = Literal["zeros", "border", "reflection"]

PADDINGS: tuple[Padding, ...] = get_args(Padding)
#: Pixels that are read along each axis, by the mode.
TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
#: NaN, and coordinates further out than this many pixels, count as this far out.
FAR = 2**30


def grid_sample(
    x: Array, grid: Array, mode: Mode, padding_mode: Padding, align_corners: bool
) -> Array:
    """Sample ``x`` (N, C, *sizes) at the locations of ``grid`` (N, *out_sizes, axes) in float32."""
    sizes, out_sizes = x.shape[2:], grid.shape[1:-1]
    points = grid.reshape(grid.shape[0], prod(out_sizes), len(sizes)).astype(np.float32)
    axes = [
        _taps(points[..., len(sizes) - 1 - axis], size, mode, padding_mode, align_corners)
        for axis, size in enumerate(sizes)
    ]
    channels = x.reshape(*x.shape[:2], prod(sizes))
    outside = channels.shape[2]  # the index of an additional element, which is 0
    channels = np.concatenate([channels, np.zeros_like(channels, shape=(*x.shape[:2], 1))], axis=2)

    def read(where: Array) -> Array:
        return np.take_along_axis(channels, where[:, None], axis=2)

    reads = [_combined(taps, sizes, outside) for taps in product(*axes)]
    with np.errstate(invalid="ignore", over="ignore"):
        total = read(reads[0][0])
        if mode != "nearest":
            parts = [read(where).astype(np.float32) * weight[:, None] for where, weight in reads]
            total = sum(parts[1:], start=parts[0])
        return total.astype(x.dtype).reshape(*x.shape[:2], *out_sizes)


def _combined(
    taps: Sequence[tuple[Array, Array]], sizes: Sequence[int], outside: int
) -> tuple[Array, Array]:
    """Return the element of a channel that one tap along each axis reads, and its weight."""
    offset, weight = taps[0]
    is_inside = offset >= 0
    for size, (index, factor) in zip(sizes[1:], taps[1:], strict=True):
        offset = offset * size + index
        weight = weight * factor
        is_inside = is_inside & (index >= 0)
    return np.where(is_inside, offset, outside), weight


def _taps(
    coordinates: Array, size: int, mode: str, padding_mode: str, align_corners: bool
) -> list[tuple[Array, Array]]:
    """Return for each tap along one axis the index that it reads (-1: none) and its weight."""
    one, half, length = np.float32(1), np.float32(0.5), np.float32(size)
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = coordinates + one
        x = shifted * half * (length - one) if align_corners else (shifted * length - one) * half
    far = np.float32(FAR)
    x = np.clip(np.where(np.isnan(x), -far, x), -far, far)
    pixel = np.rint(x) if mode == "nearest" else np.floor(x)
    weights = _weights(mode, x - pixel)
    first = pixel.astype(np.int64) - (len(weights) == 4)
    return [
        (_padded(first + tap, size, padding_mode, align_corners), weight)
        for tap, weight in enumerate(weights)
    ]


def _weights(mode: str, t: Array) -> list[Array]:
    if mode == "nearest":
        return [np.ones_like(t)]
    if mode == "linear":
        return [1 - t, t]
    return [_far(t + 1), _near(t), _near(1 - t), _far(2 - t)]


def _near(t: Array) -> Array:
    """Return the weight in Keys' cubic convolution, a = -0.75, at a distance below 1."""
    return (1.25 * t - 2.25) * t * t + 1


def _far(t: Array) -> Array:
    """Return the same at a distance between 1 and 2."""
    return ((-0.75 * t + 3.75) * t - 6) * t + 3


def _padded(index: Array, size: int, padding_mode: str, align_corners: bool) -> Array:
    """Return the indices that are read in place of ``index``; -1 where nothing is read."""
    if padding_mode == "border":
        return np.clip(index, 0, size - 1)
    if padding_mode == "zeros":
        return np.where((index >= 0) & (index < size), index, -1)
    if align_corners and size == 1:
        return np.zeros_like(index)
    edge = 0 if align_corners else 1  # mirrored at outermost centres, or at outer edges
    period = 2 * (size - 1 + edge)
    at = np.where(index < 0, -edge - index, index) % period
    return np.where(at < size, at, period - edge - at)
