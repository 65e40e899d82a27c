"""ScatterElements with a reduction, which TensorRT's parser refuses, becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.scatter_elements import ScatterElements

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReplaceScatterElements(Rewrite):
    """ScatterElements(data, indices, updates, reduction != none) -> ScatterElements_PK(same).

    Opset 16 brought add and mul, opset 18 min and max. Without a reduction, as always with Scatter
    of opset 9 and 10, TensorRT has the operator itself.
    """

    plugin = ScatterElements
    pattern = Op(("ScatterElements", "Scatter"))

    def check(self, match: Match) -> str | None:
        """Leave the node to TensorRT when it has no reduction."""
        if match.attribute("reduction", "none") == "none":
            return "TensorRT takes it as it is: it has no reduction"
        return None

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's inputs and attributes."""
        plugin = ScatterElements(
            axis=match.attribute("axis", 0), reduction=match.attribute("reduction")
        )
        return match.plugin_node(plugin, match.inputs)
