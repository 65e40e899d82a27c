"""Combine bools that are scattered in int32, because no scatter takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites.replace_scatter_elements import has_more_indices
from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandBoolScatter(Rewrite):
    """ScatterND(bool, reduction=add) -> Cast(ScatterND(Cast(data, int32), reduction=add), bool).

    ScatterElements likewise, and without a reduction where there are more indices than elements
    along the axis. A sum of bools is true if one of them is, a product if all are.
    """

    pattern = Op(("ScatterND", "ScatterElements"), "data", "indices", "updates")
    input_dtypes = ("bool",)

    def check(self, match: Match, data: gs.Tensor, indices: gs.Tensor) -> str | None:
        is_wide = match.node.op == "ScatterElements" and has_more_indices(match, data, indices)
        if match.attribute("reduction", "none") == "none" and not is_wide:
            return "TensorRT takes it: it has no reduction"
        return match.dtype_problem(self.input_dtypes, data)

    def rewrite(
        self, match: Match, data: gs.Tensor, indices: gs.Tensor, updates: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        inputs = (new.cast(data, "int32"), indices, new.cast(updates, "int32"))
        return new.end("Cast", new.add(match.node.op, *inputs, **match.node.attrs), to="bool")
