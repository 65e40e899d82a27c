"""Compute how Resize resizes its axes: which elements it reads, and their weights, as in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match

ResizeWeights = npt.NDArray[np.floating[Any]]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ResizedAxis:
    """How one axis is resized.

    Attributes:
        size: the number of elements before.
        resized: the number of elements after.
        scale: the ratio of the lengths after and before; ``resized`` is rounded, this is not.
        start: where the region of interest starts, as a fraction of the axis.
        end: where it ends.
        mode: the ``coordinate_transformation_mode`` of Resize.
    """

    size: int
    resized: int
    scale: float
    start: float = 0.0
    end: float = 1.0
    mode: str = "half_pixel"

    @property
    def is_same(self) -> bool:
        """Whether the axis keeps its elements."""
        kept = (self.size, 1.0, 0.0, 1.0)
        return (self.resized, self.scale, self.start, self.end) == kept

    @property
    def coordinates(self) -> ResizeWeights:
        """Where each new element lies, as an index of the old elements: [resized].

        Computed in float32, as ONNX Runtime does: which element is the nearest depends on it.
        """
        new, one, half = np.arange(self.resized, dtype=np.float32), np.float32(1), np.float32(0.5)
        scale, size, resized = map(np.float32, (self.scale, self.size, self.resized))
        if self.mode == "asymmetric":
            return new / scale
        if self.mode == "tf_half_pixel_for_nn":
            return (new + half) / scale
        if self.mode == "align_corners":
            return new * (size - one) / (resized - one) if resized != 1 else 0 * new
        if self.mode == "tf_crop_and_resize":
            start, end = np.float32(self.start), np.float32(self.end)
            if resized == 1:
                return 0 * new + half * (start + end) * (size - one)
            steps = new * (end - start) * (size - one) / (resized - one)
            return start * (size - one) + steps
        if self.mode == "pytorch_half_pixel" and resized == 1:
            return 0 * new
        offset = np.float32(0)
        if self.mode == "half_pixel_symmetric":
            offset = size / 2 * (one - resized / (scale * size))
        return offset + (new + half) / scale - half

    @property
    def outside(self) -> npt.NDArray[np.bool_]:
        """Which new elements get the extrapolation value: [resized]."""
        at = self.coordinates
        return ((at < 0) | (at > self.size - 1)) & (self.mode == "tf_crop_and_resize")


def nearest(axis: ResizedAxis, rounding: str) -> IndexArray:
    """Return the index of the nearest element to each coordinate: [resized].

    Args:
        axis: the axis.
        rounding: a ``nearest_mode`` of Resize; "" is that of opset 10, where an axis that shrinks
            takes the element above.
    """
    at = axis.coordinates.astype(np.float64)
    rounded = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "": np.ceil(at) if axis.scale < 1 else np.floor(at),
    }[rounding]
    return np.clip(rounded, 0, axis.size - 1).astype(np.int64)


def neighbours(axis: ResizedAxis) -> list[tuple[IndexArray, ResizeWeights]]:
    """Return the two elements around each coordinate, and their weights in float32."""
    at = np.clip(axis.coordinates, 0, np.float32(axis.size - 1))
    first = at.astype(np.int64)
    second = np.minimum(first + 1, axis.size - 1)
    is_last, half = first == second, np.float32(0.5)
    weights = [np.abs(at - each.astype(np.float32)) for each in (second, first)]
    return [
        (each, np.where(is_last, half, weight))
        for each, weight in zip((first, second), weights, strict=True)
    ]


def weighted(
    axis: ResizedAxis, *, cubic: float | None, antialias: bool, exclude_outside: bool
) -> tuple[IndexArray, ResizeWeights]:
    """Return the elements around each coordinate and their weights, both [resized, taps].

    Args:
        axis: the axis.
        cubic: the coefficient of the cubic filter; None for the linear filter.
        antialias: whether the filter is widened by the factor by which the axis shrinks.
        exclude_outside: whether elements beyond the axis have no weight; otherwise the outermost
            element is repeated.
    """
    reach = 1 if cubic is None else 2
    one, half = np.float32(1), np.float32(0.5)
    shrink = min(np.float32(axis.scale), one) if antialias else one
    first, at = int(np.floor(-reach / shrink)) + 1, axis.coordinates
    taps = np.floor(at).astype(np.int64)[:, None] + np.arange(first, 2 - first)
    distance = np.abs(taps.astype(np.float32) - (at + half)[:, None] + half) * shrink
    weights = np.clip(one - distance, 0, None) if cubic is None else _cubic(distance, cubic)
    is_inside = (taps >= 0) & (taps < axis.size)
    if exclude_outside:
        weights = np.where(is_inside, weights, 0)
    total = weights.cumsum(axis=1)[:, -1:]
    inside = np.clip(taps, 0, axis.size - 1)
    rows = np.broadcast_to(np.arange(axis.resized)[:, None], taps.shape)
    whole = np.zeros((axis.resized, axis.size), weights.dtype)
    whole[rows[is_inside], taps[is_inside]] = weights[is_inside]
    np.add.at(whole, (rows[~is_inside], inside[~is_inside]), weights[~is_inside])
    if antialias or exclude_outside:
        whole *= one / total
    return inside, np.where(is_inside, whole[rows, inside], 0)


def _cubic(distance: ResizeWeights, a: float) -> ResizeWeights:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def resized_axes(
    match: Match, shape: tuple[int | None, ...] | None
) -> str | dict[int, ResizedAxis]:
    """Return how a Resize resizes each of its axes, or why that is unknown.

    Args:
        match: the match of a Resize with the inputs x, roi, scales and sizes, or of an Upsample.
        shape: that of x.
    """
    if shape is None:
        return "the size of a resized axis is unknown"
    axes = [axis % len(shape) for axis in match.attribute("axes", range(len(shape)))]
    roi, scales, sizes = _region_and_sizes(match)
    wanted = scales if sizes is None else sizes
    if wanted is None or wanted.size != len(axes):
        return "its scales or sizes are not one for each axis"
    mode = coordinate_mode(match)
    is_cropped = mode == "tf_crop_and_resize"
    if is_cropped and (roi is None or roi.size != 2 * len(axes)):
        return "its region is not two numbers for each axis"
    region = [0.0] * len(axes) + [1.0] * len(axes)
    if is_cropped and roi is not None:
        region = roi.tolist()
    borders = [*zip(region[: len(axes)], region[len(axes) :], strict=True)]
    # An axis that keeps its elements may be of any size.
    is_kept = [
        sizes is None and scale == 1 and each == (0, 1)
        for scale, each in zip(wanted, borders, strict=True)
    ]
    before = [1 if kept else shape[axis] for axis, kept in zip(axes, is_kept, strict=True)]
    old = [size for size in before if size is not None]
    if len(old) < len(before):
        return "the size of a resized axis is unknown"
    if not all(old) or np.any(wanted <= 0):
        return "an axis is empty, or a scale or a size is not positive"
    if sizes is None:
        factors = [float(scale) for scale in wanted]
        resized = [int(factor * size) for factor, size in zip(factors, old, strict=True)]
    else:
        policy = match.attribute("keep_aspect_ratio_policy", "stretch")
        factors, resized = _fit_sizes(old, [int(size) for size in sizes], policy)
    return {
        axis: ResizedAxis(old[at], resized[at], factors[at], *borders[at], mode)
        for at, axis in enumerate(axes)
    }


def _fit_sizes(old: list[int], sizes: list[int], policy: str) -> tuple[list[float], list[int]]:
    """Return the scale and the new size of each axis, given sizes and a policy for their ratio."""
    factors = [size / before for size, before in zip(sizes, old, strict=True)]
    if policy == "stretch":
        return factors, sizes
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [factor] * len(old), [int(factor * before + 0.5) for before in old]


def coordinate_mode(match: Match) -> str:
    """Return the ``coordinate_transformation_mode``, which Upsample and Resize-10 have not."""
    if match.onnx_opset < 11:
        return "asymmetric"
    mode: str = match.attribute("coordinate_transformation_mode", "half_pixel")
    return mode


def _region_and_sizes(match: Match) -> list[npt.NDArray[Any] | None]:
    """Return the stored region, scales and sizes; None for what is absent or empty."""
    if match.onnx_opset < 9:
        return [None, np.array(match.attribute("scales")), None]
    names = ("roi", "scales", "sizes")
    found = [None if match[name] is None else match.constant(match[name]) for name in names]
    region, scales, sizes = (None if each is None or not each.size else each for each in found)
    # The second input of Upsample-9 and Resize-10 are scales.
    return [None, region, None] if match.onnx_opset < 11 else [region, scales, sizes]
