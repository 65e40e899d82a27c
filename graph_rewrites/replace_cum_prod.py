"""Replace CumProd, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.cum_prod import CumProd

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceCumProd(Rewrite):
    """CumProd(x) -> CumProd_PK(x).

    The axis must be stored in the model. ExpandCumProd makes what is left, and all if this is
    skipped, a Scan, with a step for each element of the axis.
    """

    plugin = CumProd
    pattern = Op("CumProd", "x", "axis")
    order = -1

    def check(self, match: Match, axis: gs.Tensor) -> str | int:
        stored = match.constant(axis)
        return "its axis is not stored in the model" if stored is None else int(stored.item())

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> NewNode:
        plugin = match.plugin(CumProd, ignoring=["axis"], axis=facts)
        return match.plugin_node(plugin, [x])
