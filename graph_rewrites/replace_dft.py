"""Replace long DFTs, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites.expand_dft import Transform, transform_of
from pluginkit.onnx import Match, Op, Optional, Rewrite
from pluginkit.plugins.dft import Dft
from pluginkit.plugins.dft.plan import LONGEST

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

#: The most points that a product with a small matrix transforms better.
_SHORT = 128


class ReplaceDft(Rewrite):
    """DFT(x) of more than 128 points -> Dft_PK(x).

    The size of the transformed axis must be known, and the length and the axis stored in the model.
    ExpandDft makes the shorter ones products with a matrix.
    """

    plugin = Dft
    pattern = Op("DFT", "x", Optional("length"), Optional("axis"))
    order = -1

    def check(
        self, match: Match, x: gs.Tensor, length: gs.Tensor | None, axis: gs.Tensor | None
    ) -> str | Transform:
        transform = transform_of(match, x, length, axis)
        if isinstance(transform, str):
            return transform
        if transform.length <= _SHORT:
            return f"it has {transform.length} points, not more than {_SHORT}: ExpandDft takes it"
        if transform.length > LONGEST:
            return f"it has {transform.length} points; the plugin takes up to {LONGEST}"
        if transform.parts not in (1, 2):
            return f"its last dimension is {transform.parts}; expected 1 or 2"
        return transform

    def rewrite(self, match: Match, x: gs.Tensor, facts: Transform) -> NewNode:
        plugin = match.plugin(
            Dft, ignoring=["length", "axis"], length=facts.length, axis=facts.axis
        )
        return match.plugin_node(plugin, [x])
