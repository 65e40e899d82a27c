"""Replace ScatterElements with a reduction, which TensorRT refuses, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.scatter_elements import ScatterElements

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class ReplaceScatterElements(Rewrite):
    """ScatterElements(data, indices, updates, reduction != none) -> ScatterElements_PK(same).

    Opset 16 brought add and mul, opset 18 min and max. TensorRT has the operator without a
    reduction, and Scatter of opset 9 and 10, which never has one.
    """

    plugin = ScatterElements
    pattern = Op(("ScatterElements", "Scatter"))

    def check(self, match: Match) -> str | None:
        if match.attribute("reduction", "none") == "none":
            return "TensorRT takes it: it has no reduction"
        return None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(ScatterElements)
