"""Turn Resize in modes that TensorRT lacks into weighted sums of gathered elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._resize_weights import (
    IndexArray,
    ResizedAxis,
    ResizeWeights,
    coordinate_mode,
    nearest,
    neighbours,
    resized_axes,
    weighted,
)
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_REFUSED_MODES = ("tf_crop_and_resize", "half_pixel_symmetric")
#: The types of which TensorRT resizes.
_TAKEN = (*FLOATS, "int8")
#: How many of the last axes it interpolates along, by the mode.
_INTERPOLATED = {"cubic": 2, "linear": 3}
#: ONNX Runtime computes the weights of 8-bit images in units of 2^-22.
_UNIT = 22


class ExpandResize(Rewrite):
    """Resize(x) -> ReduceSum(Gather(x, neighbours) * weights), along one axis after the other.

    For the coordinate modes tf_crop_and_resize, half_pixel_symmetric and tf_half_pixel_for_nn, for
    antialias, for a keep_aspect_ratio_policy other than stretch, for integers, and along axes in
    front of the last two (cubic) or three (linear), as where channels are last; Upsample
    likewise. The sizes of the resized axes must be known, and ``roi``, ``scales`` and ``sizes``
    must be stored in the model. Floats are computed in float32. Of integers mode linear takes what
    is below the sum, as ONNX Runtime does, of the four neighbours on the last two axes; with
    antialias, in uint8, each axis is rounded to the nearest integer. Beyond the borders the
    outermost element is repeated, unless ``exclude_outside``.
    """

    pattern = Op(("Resize", "Upsample"), "x", *map(Optional, ("roi", "scales", "sizes")))

    def check(self, match: Match, x: gs.Tensor) -> str | dict[int, ResizedAxis]:
        dtype = match.dtype(x)
        if not (
            coordinate_mode(match) in _REFUSED_MODES
            or _is_unusual_half_pixel(match)
            or match.attribute("antialias", 0)
            or match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch"
            or (dtype and dtype not in _TAKEN)
            or _is_along_outer_axes(match, x)
        ):
            return "TensorRT takes it, or refuses it for another reason than its modes"
        if any(each.name and match.constant(each) is None for each in match.inputs[1:]):
            return "the region, the scales or the sizes are not stored in the model"
        axes = resized_axes(match, match.shape(x))
        if isinstance(axes, str) or match.attribute("mode", "nearest") == "nearest":
            return axes
        if match.dtype_problem(FLOATS, x) is None:
            return axes
        return _problem_of_integers(match, dtype, _changed(axes)) or axes

    def rewrite(self, match: Match, x: gs.Tensor, facts: dict[int, ResizedAxis]) -> list[gs.Node]:
        new, axes = Replacement(match), _changed(facts)
        if match.attribute("mode", "nearest") == "nearest":
            value: NodeInput = x
            for axis, resized in axes.items():
                value = _resize(new, match, value, axis, resized)
        elif match.dtype(x) in FLOATS:
            value = new.cast(x, "float32")
            for axis, resized in axes.items():
                value = _resize(new, match, value, axis, resized)
        elif match.attribute("antialias", 0):
            value = new.cast(x, "int32")
            for axis, resized in reversed(axes.items()):
                value = _smooth_bytes(new, match, value, axis, resized)
        else:
            value = _between_neighbours(new, match, x, axes)
        return new.end("Cast", value, to=match.dtype(x))


def _is_unusual_half_pixel(match: Match) -> bool:
    """Whether its coordinates are those of tf_half_pixel_for_nn, as no other rewrite takes them."""
    if coordinate_mode(match) != "tf_half_pixel_for_nn":
        return False
    return match.attribute("mode", "nearest") != "nearest" or _rounding(match) != "floor"


def _is_along_outer_axes(match: Match, x: gs.Tensor) -> bool:
    """Whether it interpolates along an axis in front of those of TensorRT."""
    count = _INTERPOLATED.get(match.attribute("mode", "nearest"))
    axes = resized_axes(match, match.shape(x)) if count is not None else ""
    if count is None or isinstance(axes, str):
        return False
    return any(axis < (match.rank(x) or 0) - count for axis in _changed(axes))


def _rounding(match: Match) -> str:
    """Return the ``nearest_mode``, "" for that of Upsample and Resize-10."""
    if match.onnx_opset < 11:
        return ""
    rounding: str = match.attribute("nearest_mode", "round_prefer_floor")
    return rounding


def _problem_of_integers(match: Match, dtype: str, axes: dict[int, ResizedAxis]) -> str | None:
    """Return why integers are not interpolated."""
    shape = match.shape(match["x"]) or ()
    if match.attribute("antialias", 0):
        is_known = dtype == "uint8"
    else:
        is_image = len(shape) in (2, 4) and None not in shape[-2:]
        is_symmetric = coordinate_mode(match) == "half_pixel_symmetric"  # rounded otherwise
        is_known = is_image and not is_symmetric and match.attribute("mode") == "linear"
        is_known = is_known and min(axes, default=len(shape)) >= len(shape) - 2
    if is_known:
        return None
    return (
        f"it interpolates {dtype}; of integers pluginkit interpolates uint8 with antialias, and "
        "others in mode linear along the last two of two or four axes. Cast to float32 before it"
    )


def _changed(axes: dict[int, ResizedAxis]) -> dict[int, ResizedAxis]:
    return {axis: resized for axis, resized in axes.items() if not resized.is_same}


def _resize(
    new: Replacement, match: Match, value: NodeInput, axis: int, resized: ResizedAxis
) -> gs.Variable:
    """Resize one axis of ``value``, which is x with earlier axes resized."""
    x = match["x"]
    trailing = (1,) * ((match.rank(x) or 0) - axis - 1)
    is_nearest = match.attribute("mode", "nearest") == "nearest"
    if is_nearest:
        y = new.add("Gather", value, nearest(resized, _rounding(match)), axis=axis)
    else:
        indices, weights = _weights(match, resized)
        factors = weights.astype(np.float32).reshape(*weights.shape, *trailing)
        products = new.add("Mul", new.add("Gather", value, indices, axis=axis), factors)
        y = new.reduce("ReduceSum", products, [axis + 1])
    if not resized.outside.any():
        return y
    beyond: NodeInput = np.float32(match.attribute("extrapolation_value", 0.0))
    if is_nearest:
        beyond = new.add("Cast", beyond, to=match.dtype(x))
    return new.add("Where", resized.outside.reshape(-1, *trailing), beyond, y)


def _weights(match: Match, resized: ResizedAxis) -> tuple[IndexArray, ResizeWeights]:
    """Return the elements that an axis reads, and their weights."""
    is_cubic = match.attribute("mode") == "cubic"
    return weighted(
        resized,
        cubic=match.attribute("cubic_coeff_a", -0.75) if is_cubic else None,
        antialias=bool(match.attribute("antialias", 0)),
        exclude_outside=bool(match.attribute("exclude_outside", 0)),
    )


def _smooth_bytes(
    new: Replacement, match: Match, value: NodeInput, axis: int, resized: ResizedAxis
) -> NodeInput:
    """Resize one axis of an image of bytes, in int32, with weights that are whole units."""
    trailing = (1,) * ((match.rank(match["x"]) or 0) - axis - 1)
    indices, weights = _weights(match, resized)
    units = np.round(weights * 2**_UNIT).astype(np.int32).reshape(*weights.shape, *trailing)
    products = new.add("Mul", new.add("Gather", value, indices, axis=axis), units)
    total = new.add("Add", new.reduce("ReduceSum", products, [axis + 1]), np.int32(2**_UNIT // 2))
    inside = new.add("Max", total, np.int32(0))
    return new.add("Min", new.add("Div", inside, np.int32(2**_UNIT)), np.int32(255))


def _between_neighbours(
    new: Replacement, match: Match, x: gs.Tensor, axes: dict[int, ResizedAxis]
) -> NodeInput:
    """Return the sum of the four neighbours in float32, in the order of ONNX Runtime."""
    shape = match.shape(x) or ()
    rank = len(shape)
    terms: list[tuple[NodeInput, ResizeWeights]] = [
        (new.cast(x, "float32"), np.ones((), np.float32))
    ]
    for axis in (rank - 2, rank - 1):
        size = shape[axis] or 0
        resized = axes.get(axis, ResizedAxis(size, size, 1.0))
        along = [-1 if each == axis else 1 for each in range(rank)]
        terms = [
            (new.add("Gather", value, indices, axis=axis), weight.reshape(along) * weights)
            for value, weights in terms
            for indices, weight in neighbours(resized)
        ]
    products = [new.add("Mul", value, weights) for value, weights in terms]
    total: NodeInput = products[0]
    for each in products[1:]:
        total = new.add("Add", total, each)
    for axis, resized in axes.items():
        if resized.outside.any():
            beyond = np.float32(match.attribute("extrapolation_value", 0.0))
            outside = resized.outside.reshape(-1, *[1] * (rank - axis - 1))
            total = new.add("Where", outside, beyond, total)
    return total
