"""Replace ScatterND with a reduction, which TensorRT refuses, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.scatter_nd import ScatterND

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class ReplaceScatterND(Rewrite):
    """ScatterND(data, indices, updates, reduction != none) -> ScatterND_PK(same).

    Opset 16 brought add and mul, opset 18 min and max. TensorRT has the operator without a
    reduction.
    """

    plugin = ScatterND
    pattern = "ScatterND"

    def check(self, match: Match) -> str | None:
        if match.attribute("reduction", "none") == "none":
            return "TensorRT takes it: it has no reduction"
        return None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(ScatterND)
