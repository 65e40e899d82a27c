"""Interpolate images of bytes, which TensorRT does not, in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


class WidenResize(Rewrite):
    """Resize(x) of uint8 and mode linear -> Cast(Resize(Cast(x, float32)), uint8).

    The cast takes what is below the sum, as ONNX Runtime does. For images whose size only a run
    tells; ExpandResize takes the others, whose weights it stores.
    """

    pattern = Op("Resize", "x", *map(Optional, ("roi", "scales", "sizes")))
    order = 1

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.dtype(x) != "uint8" or match.attribute("mode", "nearest") != "linear":
            return "it does not interpolate uint8"
        shape = match.shape(x)
        if shape is None or len(shape) != 4:
            return "its input is not known to have four axes"
        if match.onnx_opset < 11 or match.attribute("antialias", 0):
            return "it has antialias, or coordinates of an opset below 11"
        if match.attribute("coordinate_transformation_mode", "half_pixel") not in _MODES:
            return "its coordinates are of another mode"
        if match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            return "it keeps the ratio of its sizes"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        inputs = [each if each.name else None for each in match.inputs[1:]]
        value = new.add("Resize", new.cast(x, "float32"), *inputs, **given)
        return new.end("Cast", value, to="uint8")
