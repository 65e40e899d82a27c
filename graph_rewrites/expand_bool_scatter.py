"""Combine bools that are scattered in int32, because no scatter takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandBoolScatter(Rewrite):
    """ScatterND(bool, reduction=add) -> Cast(ScatterND(Cast(data, int32), reduction=add), bool).

    ScatterElements likewise. A sum of bools is true if one of them is, a product if all are.
    """

    pattern = Op(("ScatterND", "ScatterElements"), "data", "indices", "updates")
    input_dtypes = ("bool",)

    def check(self, match: Match, data: gs.Tensor) -> str | None:
        if match.attribute("reduction", "none") == "none":
            return "TensorRT takes it: it has no reduction"
        return match.dtype_problem(self.input_dtypes, data)

    def rewrite(
        self, match: Match, data: gs.Tensor, indices: gs.Tensor, updates: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        inputs = (new.cast(data, "int32"), indices, new.cast(updates, "int32"))
        return new.end("Cast", new.add(match.node.op, *inputs, **match.node.attrs), to="bool")
