"""Replace determinants and inverses, which TensorRT lacks, by plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.graph_rewrites.expand_det import LARGEST
from pluginkit.onnx import Op, Rewrite
from pluginkit.plugins.det import Det
from pluginkit.plugins.inverse import Inverse

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import Match, NewNode


class ReplaceDet(Rewrite):
    """Det(x) -> Det_PK(x), for matrices larger than 4 x 4 or of unknown size."""

    plugin = Det
    pattern = Op("Det", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        size = (match.shape(x) or (None,))[-1]
        if size is not None and 1 <= size <= LARGEST:
            return f"its matrices are not larger than {LARGEST} x {LARGEST}: ExpandDet takes it"
        return None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(Det)


class ReplaceInverse(Rewrite):
    """com.microsoft.Inverse(x) -> Inverse_PK(x)."""

    plugin = Inverse
    pattern = Op("Inverse", "x", domain=MICROSOFT)

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(Inverse)
