"""Unique, which TensorRT's parser refuses, becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.unique import Unique

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReplaceUnique(Rewrite):
    """Unique(x) -> Unique_PK(x), with all four outputs and their length as a fifth."""

    plugin = Unique
    pattern = "Unique"

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's input and attributes."""
        plugin = Unique(
            axis=match.attribute("axis"), sorted=bool(match.attribute("sorted", default=1))
        )
        return match.plugin_node(plugin, match.inputs)
