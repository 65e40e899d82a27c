"""Combine bools that are scattered in int32, because no scatter takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The reduction of 0 and 1 that gives what a reduction gives of bools.
_OF_INTEGERS = {"add": "max", "max": "max", "mul": "min", "min": "min"}


class ExpandBoolScatter(Rewrite):
    """ScatterND(bool, reduction=add) -> Cast(ScatterND(Cast(data, int32), reduction=max), bool).

    A sum of bools is true if one of them is, a product if all are. ScatterElements likewise.
    """

    pattern = Op(("ScatterND", "ScatterElements"), "data", "indices", "updates")
    input_dtypes = ("bool",)

    def check(self, match: Match, data: gs.Tensor) -> str | None:
        if match.attribute("reduction", "none") not in _OF_INTEGERS:
            return "TensorRT takes it: it has no reduction"
        if match.onnx_opset < 18:
            return "its opset has no maximum; convert the model to opset 18"
        return match.dtype_problem(self.input_dtypes, data)

    def rewrite(
        self, match: Match, data: gs.Tensor, indices: gs.Tensor, updates: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        inputs = (new.cast(data, "int32"), indices, new.cast(updates, "int32"))
        reduction = _OF_INTEGERS[match.attribute("reduction")]
        attributes = {**match.node.attrs, "reduction": reduction}
        return new.end("Cast", new.add(match.node.op, *inputs, **attributes), to="bool")
