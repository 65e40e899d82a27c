"""Replace CumProd, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._aten import ATEN, argument, unstored
from pluginkit.onnx import FLOATS, INTEGERS, Match, Op, Replacement, Rewrite
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


class ReplaceAtenCumProd(Rewrite):
    """torch.cumprod(x, dim) -> CumProd_PK(x); of integers in int64, as torch multiplies them."""

    plugin = CumProd
    pattern = Op("cumprod", "x", "dim", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | int:
        if any(each.name for each in match.inputs[2:]):
            return "it casts its input; cast before it"
        axis = argument(match, 1, None)
        return match.dtype_problem(FLOATS + INTEGERS, x) or unstored(match, axis) or int(axis)

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[NewNode]:
        new, dtype = Replacement(match), match.dtype(x)
        wide = new.cast(x, dtype if dtype in FLOATS else "int64")
        return [*new, match.plugin_node(CumProd(axis=facts), [wide])]
