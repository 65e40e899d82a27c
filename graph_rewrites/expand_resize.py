"""Turn Resize in modes that TensorRT lacks into weighted sums of gathered elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._resize_weights import (
    ResizedAxis,
    nearest,
    resized_axes,
    weighted,
)
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_REFUSED_MODES = ("tf_crop_and_resize", "half_pixel_symmetric")


class ExpandResize(Rewrite):
    """Resize(x) -> ReduceSum(Gather(x, neighbours) * weights), along one axis after the other.

    For the coordinate modes tf_crop_and_resize and half_pixel_symmetric, for antialias, and for a
    keep_aspect_ratio_policy other than stretch. The sizes of the resized axes must be known, and
    ``roi``, ``scales`` and ``sizes`` must be stored in the model. Modes linear and cubic are for
    float32, float16 and bfloat16, and computed in float32; mode nearest is for any type. Beyond the
    borders antialias repeats the outermost element, as ONNX's reference does; ONNX Runtime does
    not.
    """

    pattern = Op("Resize", "x", *map(Optional, ("roi", "scales", "sizes")))

    def check(self, match: Match, x: gs.Tensor) -> str | dict[int, ResizedAxis]:
        if not (
            match.attribute("coordinate_transformation_mode", "half_pixel") in _REFUSED_MODES
            or match.attribute("antialias", 0)
            or match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch"
        ):
            return "TensorRT takes it, or refuses it for another reason than its modes"
        if any(each.name and match.constant(each) is None for each in match.inputs[1:]):
            return "the region, the scales or the sizes are not stored in the model"
        problem = match.dtype_problem(FLOATS, x)
        if match.attribute("mode", "nearest") != "nearest" and problem is not None:
            return problem
        return resized_axes(match, match.shape(x))

    def rewrite(self, match: Match, x: gs.Tensor, facts: dict[int, ResizedAxis]) -> list[gs.Node]:
        is_nearest = match.attribute("mode", "nearest") == "nearest"
        new = Replacement(match)
        value: NodeInput = x if is_nearest else new.cast(x, "float32")
        for axis, resized in facts.items():
            if not resized.is_same:
                value = _resize(new, match, value, axis, resized)
        return new.end("Cast", value, to=match.dtype(x))


def _resize(
    new: Replacement, match: Match, value: NodeInput, axis: int, resized: ResizedAxis
) -> gs.Variable:
    """Resize one axis of ``value``, which is x with earlier axes resized."""
    x = match["x"]
    mode = match.attribute("coordinate_transformation_mode", "half_pixel")
    at = resized.coordinates(mode)
    kind = match.attribute("mode", "nearest")
    trailing = (1,) * ((match.rank(x) or 0) - axis - 1)
    if kind == "nearest":
        rounding = match.attribute("nearest_mode", "round_prefer_floor")
        y = new.add("Gather", value, nearest(at, rounding, resized.size), axis=axis)
    else:
        indices, weights = weighted(
            at,
            resized,
            cubic=match.attribute("cubic_coeff_a", -0.75) if kind == "cubic" else None,
            antialias=match.attribute("antialias", False),
            exclude_outside=match.attribute("exclude_outside", False),
        )
        factors = weights.astype(np.float32).reshape(*weights.shape, *trailing)
        products = new.add("Mul", new.add("Gather", value, indices, axis=axis), factors)
        y = new.reduce("ReduceSum", products, [axis + 1])
    outside = resized.outside(mode)
    if not outside.any():
        return y
    beyond: NodeInput = np.float32(match.attribute("extrapolation_value", 0.0))
    if kind == "nearest":
        beyond = new.add("Cast", beyond, to=match.dtype(x))
    return new.add("Where", outside.reshape(-1, *trailing), beyond, y)
