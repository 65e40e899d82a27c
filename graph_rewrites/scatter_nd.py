"""ScatterND with a reduction, which TensorRT's parser refuses, becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.scatter_nd import ScatterND

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReplaceScatterND(Rewrite):
    """ScatterND(data, indices, updates, reduction != none) -> ScatterND_PK(same).

    Opset 16 brought add and mul, opset 18 min and max. Without a reduction TensorRT has the
    operator itself.
    """

    plugin = ScatterND
    pattern = Op("ScatterND")

    def check(self, match: Match) -> str | None:
        """Leave the node to TensorRT when it has no reduction."""
        if match.attribute("reduction", "none") == "none":
            return "TensorRT takes it as it is: it has no reduction"
        return None

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's inputs and attribute."""
        plugin = ScatterND(reduction=match.attribute("reduction"))
        return match.plugin_node(plugin, match.inputs)
