"""Compute how Resize resizes its axes: which elements it reads, and their weights, as in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match

Floats = npt.NDArray[np.float64]
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
    """

    size: int
    resized: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    @property
    def is_same(self) -> bool:
        """Whether the axis keeps its elements."""
        kept = (self.size, 1.0, 0.0, 1.0)
        return (self.resized, self.scale, self.start, self.end) == kept

    def coordinates(self, mode: str) -> Floats:
        """Return where each new element lies, as an index of the old elements: [resized].

        Args:
            mode: a ``coordinate_transformation_mode`` of Resize.
        """
        new = np.arange(self.resized, dtype=np.float64)
        length = self.scale * self.size
        if mode == "asymmetric":
            return new / self.scale
        if mode == "align_corners":
            return new * (self.size - 1) / (length - 1) if length != 1 else 0 * new
        if mode == "tf_crop_and_resize":
            share = new / (length - 1) if length != 1 else 0 * new + 0.5
            return (self.start + share * (self.end - self.start)) * (self.size - 1)
        if mode == "pytorch_half_pixel" and length == 1:
            return 0 * new - 0.5
        shift = (1 - self.resized / length) * self.size / 2
        return (new + 0.5) / self.scale - 0.5 + (shift if mode == "half_pixel_symmetric" else 0)

    def outside(self, mode: str) -> npt.NDArray[np.bool_]:
        """Return which new elements get the extrapolation value: [resized]."""
        at = self.coordinates(mode)
        return ((at < 0) | (at > self.size - 1)) & (mode == "tf_crop_and_resize")


def nearest(at: Floats, rounding: str, size: int) -> IndexArray:
    """Return the index of the nearest element to each coordinate: [resized].

    Args:
        at: the coordinates.
        rounding: a ``nearest_mode`` of Resize.
        size: the number of elements.
    """
    rounded = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }[rounding]
    return np.clip(rounded, 0, size - 1).astype(np.int64)


def weighted(
    at: Floats, axis: ResizedAxis, *, cubic: float | None, antialias: bool, exclude_outside: bool
) -> tuple[IndexArray, Floats]:
    """Return the elements around each coordinate and their weights, both [resized, taps].

    Args:
        at: the coordinates.
        axis: the axis.
        cubic: the coefficient of the cubic filter; None for the linear filter.
        antialias: whether the filter is widened by the factor by which the axis shrinks.
        exclude_outside: whether elements beyond the axis have no weight; otherwise the outermost
            element is repeated.
    """
    reach = 1 if cubic is None else 2
    shrink = min(axis.scale, 1.0) if antialias else 1.0
    first = int(np.floor(-reach / shrink)) + 1
    taps = np.floor(at).astype(np.int64)[:, None] + np.arange(first, 2 - first)
    distance = np.abs(taps - at[:, None]) * shrink
    weights = np.clip(1 - distance, 0, None) if cubic is None else _cubic(distance, cubic)
    if exclude_outside:
        weights = np.where((taps >= 0) & (taps < axis.size), weights, 0)
    if antialias or exclude_outside:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(taps, 0, axis.size - 1), weights


def _cubic(distance: Floats, a: float) -> Floats:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def resized_axes(
    match: Match, shape: tuple[int | None, ...] | None
) -> str | dict[int, ResizedAxis]:
    """Return how a Resize resizes each of its axes, or why that is unknown.

    Args:
        match: the match of a Resize with the inputs x, roi, scales and sizes.
        shape: that of x.
    """
    if shape is None:
        return "the size of a resized axis is unknown"
    axes = [axis % len(shape) for axis in match.attribute("axes", range(len(shape)))]
    if any(shape[axis] is None for axis in axes):
        return "the size of a resized axis is unknown"
    old = [shape[axis] or 0 for axis in axes]
    roi, scales, sizes = (_stored(match, name) for name in ("roi", "scales", "sizes"))
    wanted = scales if sizes is None else sizes
    if wanted is None or wanted.size != len(axes):
        return "its scales or sizes are not one for each axis"
    is_cropped = match.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    if is_cropped and (roi is None or roi.size != 2 * len(axes)):
        return "its region is not two numbers for each axis"
    if not all(old) or np.any(wanted <= 0):
        return "an axis is empty, or a scale or a size is not positive"
    if sizes is None:
        factors = [float(scale) for scale in wanted]
        resized = [int(factor * size) for factor, size in zip(factors, old, strict=True)]
    else:
        policy = match.attribute("keep_aspect_ratio_policy", "stretch")
        factors, resized = _fit_sizes(old, [int(size) for size in sizes], policy)
    region = [0.0] * len(axes) + [1.0] * len(axes)
    if is_cropped and roi is not None:
        region = roi.tolist()
    return {
        axis: ResizedAxis(old[at], resized[at], factors[at], region[at], region[len(axes) + at])
        for at, axis in enumerate(axes)
    }


def _fit_sizes(old: list[int], sizes: list[int], policy: str) -> tuple[list[float], list[int]]:
    """Return the scale and the new size of each axis, given sizes and a policy for their ratio."""
    factors = [size / before for size, before in zip(sizes, old, strict=True)]
    if policy == "stretch":
        return factors, sizes
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [factor] * len(old), [int(factor * before + 0.5) for before in old]


def _stored(match: Match, name: str) -> npt.NDArray[Any] | None:
    """Return an input's stored value; None if it is absent or empty."""
    stored = match.constant(match[name])
    return stored if stored is not None and stored.size else None
