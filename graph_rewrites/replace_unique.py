"""Replace Unique, which TensorRT refuses, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.unique import Unique

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class ReplaceUnique(Rewrite):
    """Unique(x) -> Unique_PK(x), with all four outputs and their length as a fifth."""

    plugin = Unique
    pattern = "Unique"

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(Unique)
