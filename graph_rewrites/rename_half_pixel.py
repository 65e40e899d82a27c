"""Name the coordinates of TensorFlow's nearest neighbours as TensorRT takes them."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Op, Replacement, Rewrite

#: Which element TensorRT takes for those of tf_half_pixel_for_nn and floor.
_ATTRIBUTES = {
    "coordinate_transformation_mode": "half_pixel",
    "nearest_mode": "round_prefer_ceil",
}


class RenameHalfPixel(Rewrite):
    """Resize(x, tf_half_pixel_for_nn, floor) -> Resize(x, half_pixel, round_prefer_ceil).

    Of mode nearest, as tf2onnx writes ResizeNearestNeighbor with half_pixel_centers. Both take the
    element floor((i + 0.5) / scale).
    """

    pattern = Op("Resize")

    def check(self, match: Match) -> str | None:
        given = {name: match.attribute(name, "") for name in _ATTRIBUTES}
        if given["coordinate_transformation_mode"] != "tf_half_pixel_for_nn":
            return "its coordinates are not those of tf_half_pixel_for_nn"
        if match.attribute("mode", "nearest") != "nearest" or given["nearest_mode"] != "floor":
            return "it does not take the element at the floor of each coordinate"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        attributes = {**match.node.attrs, **_ATTRIBUTES}
        return Replacement(match).end("Resize", *match.inputs, **attributes)
