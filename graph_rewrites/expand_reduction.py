"""Reduce scalars, and integers to lengths and logarithms, which TensorRT does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_INTEGERS = ("int32", "int64")
_KINDS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)


class ExpandScalarReduction(Rewrite):
    """ReduceMax(scalar) -> ReduceMax(Reshape(scalar, [1])), and the other reductions likewise."""

    pattern = Op(_KINDS, "x", ...)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.rank(x) != 0:
            return "its input is not known to be a scalar"
        if match.attribute("noop_with_empty_axes", 0):
            return "without axes it reduces nothing"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        vector = new.add("Reshape", x, np.array([1], np.int64))
        return new.end("Identity", new.reduce(match.node.op, vector, [0]))


class ExpandIntegerReduction(Rewrite):
    """ReduceL2(integers) -> Cast(ReduceL2(Cast(x, float32))); ReduceLogSum likewise.

    The logarithm of a sum of exponentials follows ONNX Runtime, where a power below 1 is 0 in
    integers: it is the maximum plus the logarithm of how often that occurs.
    """

    pattern = Op(("ReduceL2", "ReduceLogSum", "ReduceLogSumExp"), "x", ...)
    input_dtypes = _INTEGERS

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(x)
        axes, attributes = match.inputs[1:], match.node.attrs
        if match.node.op != "ReduceLogSumExp":
            y = new.add(match.node.op, new.cast(x, "float32"), *axes, **attributes)
            return new.end("Cast", y, to=dtype)
        greatest = new.add("ReduceMax", x, *axes, **{**attributes, "keepdims": 1})
        is_greatest = new.cast(new.add("Equal", x, greatest), "float32")
        log = new.add("ReduceLogSum", is_greatest, *axes, **attributes)
        if not attributes.get("keepdims", 1):
            greatest = new.add("ReduceMax", x, *axes, **attributes)
        return new.end("Cast", new.add("Add", new.cast(greatest, "float32"), log), to=dtype)
