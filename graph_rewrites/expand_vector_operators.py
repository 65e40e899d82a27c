"""Give vectors a second axis, for operators that need at least two axes in TensorRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_OPERATORS = ("ArgMax", "ArgMin", "Hardmax", "LogSoftmax", "Softmax")


class ExpandVectorOperator(Rewrite):
    """Softmax(vector) -> Squeeze(Softmax(Unsqueeze(vector))), and ArgMax and others likewise."""

    pattern = Op(_OPERATORS, "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return None if match.rank(x) == 1 else "TensorRT takes it: its input is no vector"

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        names = ("keepdims", "select_last_index")
        given = {name: match.attribute(name) for name in names}
        y = new.add(match.proto.op_type, new.unsqueeze(x, [0]), axis=1, **given)
        return new.end("Identity", new.squeeze(y, [0]))


class ExpandVectorProduct(Rewrite):
    """MatMul(vector, matrices) -> Squeeze(MatMul(Unsqueeze(vector), matrices)).

    For three axes or more on the right. TensorRT takes a vector with one matrix, and on the right.
    """

    pattern = Op("MatMul", "x", "y")

    def check(self, match: Match, x: gs.Tensor, y: gs.Tensor) -> str | None:
        if match.rank(x) != 1:
            return "TensorRT takes it: its first input is not known to be a vector"
        if (match.rank(y) or 0) < 3:
            return "TensorRT takes it: its second input is not known to have three axes or more"
        return None

    def rewrite(self, match: Match, x: gs.Tensor, y: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        product = new.add("MatMul", new.unsqueeze(x, [0]), y)
        return new.end("Identity", new.squeeze(product, [-2]))
