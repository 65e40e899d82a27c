"""Reduce bools in int32, because TensorRT reduces no bools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandBoolReduction(Rewrite):
    """ReduceMax(bool) -> Greater(ReduceMax(Cast(x, int32)), 0), and ReduceMin likewise."""

    pattern = Op(("ReduceMax", "ReduceMin"), "x", ...)
    input_dtypes = ("bool",)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        """Refuse a node of which only the axes are bools: it would be rewritten forever."""
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        """The maximum of no elements is the least int32, which is not above 0 either."""
        new = Replacement(match)
        inputs = [new.cast(x, "int32"), *match.inputs[1:]]
        reduced = new.add(match.node.op, *inputs, **match.node.attrs)
        return new.end("Greater", reduced, np.int32(0))
