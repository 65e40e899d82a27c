"""Resize in the ways that TensorRT lacks becomes weighted sums of gathered elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.graph_rewrites._interpolation import ResizedAxis, nearest, weighted
from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_REFUSED_MODES = ("tf_crop_and_resize", "half_pixel_symmetric")


class ExpandResize(Rewrite):
    """Resize(x) -> ReduceSum(Gather(x, neighbours) * weights), along one axis after the other.

    For the coordinate modes tf_crop_and_resize and half_pixel_symmetric, for antialias, and for a
    keep_aspect_ratio_policy other than stretch. The sizes of the resized axes must be known, and
    ``roi``, ``scales`` and ``sizes`` stored in the model. Modes linear and cubic are computed in
    float32, of float32, float16 and bfloat16; mode nearest moves any type. Beyond the borders
    antialias repeats the outermost element, as ONNX's reference does; ONNX Runtime leaves it out.
    """

    pattern = "Resize"

    def check(self, match: Match) -> str | None:
        """TensorRT has the other modes."""
        if not (
            match.attribute("coordinate_transformation_mode", "half_pixel") in _REFUSED_MODES
            or match.attribute("antialias", 0)
            or match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch"
        ):
            return "TensorRT takes it as it is, or refuses it for another reason than its modes"
        if any(each.name and match.constant(each) is None for each in match.inputs[1:]):
            return "the region, the scales or the sizes are not stored in the model"
        is_float = match.elem_type(match.inputs[0]) in FLOATS
        if match.attribute("mode", "nearest") != "nearest" and not is_float:
            return NO_FLOAT
        shape = match.shape(match.inputs[0])
        if shape is None or any(shape[axis] is None for axis in _axes(match, len(shape))):
            return "the size of a resized axis is unknown"
        return _why_not_resized(match, shape)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Axes that keep their size are left alone."""
        x = match.inputs[0]
        shape = match.shape(x) or ()
        is_nearest = match.attribute("mode", "nearest") == "nearest"
        new = Replacement(match)
        value: Value = x if is_nearest else new.cast(x, _T.FLOAT)
        for axis, resized in _resized_axes(match, shape).items():
            if not resized.is_same:
                value = _resize(new, match, value, axis, resized)
        return new.end("Cast", value, to=match.elem_type(x))


def _resize(
    new: Replacement, match: Match, x: Value, axis: int, resized: ResizedAxis
) -> gs.Variable:
    mode = match.attribute("coordinate_transformation_mode", "half_pixel")
    at = resized.coordinates(mode)
    kind = match.attribute("mode", "nearest")
    trailing = (1,) * (len(match.shape(match.inputs[0]) or ()) - axis - 1)
    if kind == "nearest":
        rounding = match.attribute("nearest_mode", "round_prefer_floor")
        y = new.add("Gather", x, nearest(at, rounding, resized.size), axis=axis)
    else:
        indices, weights = weighted(
            at,
            resized,
            cubic=match.attribute("cubic_coeff_a", -0.75) if kind == "cubic" else None,
            antialias=bool(match.attribute("antialias", 0)),
            exclude_outside=bool(match.attribute("exclude_outside", 0)),
        )
        factors = weights.astype(np.float32).reshape(*weights.shape, *trailing)
        products = new.add("Mul", new.add("Gather", x, indices, axis=axis), factors)
        y = new.reduce("ReduceSum", products, [axis + 1])
    outside = resized.outside(mode)
    if not outside.any():
        return y
    beyond: Value = np.float32(match.attribute("extrapolation_value", 0.0))
    if kind == "nearest":
        beyond = new.add("Cast", beyond, to=match.elem_type(match.inputs[0]))
    return new.add("Where", outside.reshape(-1, *trailing), beyond, y)


def _stored(match: Match, at: int) -> npt.NDArray[Any] | None:
    """The region (1), the scales (2) or the sizes (3); None where they are absent or empty."""
    stored = match.constant(match.inputs[at]) if at < len(match.inputs) else None
    return stored if stored is not None and stored.size else None


def _is_cropped(match: Match) -> bool:
    return bool(match.attribute("coordinate_transformation_mode") == "tf_crop_and_resize")


def _why_not_resized(match: Match, shape: tuple[int | None, ...]) -> str | None:
    """Why the inputs do not say how to resize, or None."""
    axes = _axes(match, len(shape))
    roi, scales, sizes = (_stored(match, at) for at in (1, 2, 3))
    wanted = scales if sizes is None else sizes
    if wanted is None or wanted.size != len(axes):
        return "its scales or sizes are not one for each axis"
    if _is_cropped(match) and (roi is None or roi.size != 2 * len(axes)):
        return "its region is not two numbers for each axis"
    if any(not shape[axis] for axis in axes) or np.any(wanted <= 0):
        return "an axis is empty, or a scale or a size is not positive"
    return None


def _axes(match: Match, rank: int) -> list[int]:
    return [axis % rank for axis in match.attribute("axes", range(rank))]


def _resized_axes(match: Match, shape: tuple[int | None, ...]) -> dict[int, ResizedAxis]:
    axes = _axes(match, len(shape))
    old = [shape[axis] or 0 for axis in axes]
    roi, scales, sizes = (_stored(match, at) for at in (1, 2, 3))
    if sizes is None:
        factors = [float(scale) for scale in np.asarray(scales)]
        sizes = np.array([int(factor * size) for factor, size in zip(factors, old, strict=True)])
    else:
        factors = [int(size) / before for size, before in zip(sizes, old, strict=True)]
        policy = match.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors = [factor] * len(axes)
            sizes = np.array([int(factor * before + 0.5) for before in old])
    given = [0.0] * len(axes) + [1.0] * len(axes)
    if _is_cropped(match) and roi is not None:
        given = roi.tolist()
    return {
        axis: ResizedAxis(old[at], int(sizes[at]), factors[at], given[at], given[len(axes) + at])
        for at, axis in enumerate(axes)
    }
