"""Rectify integers, as TensorRT rectifies floats only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_INTEGERS = ("int32", "int64")


class ExpandRelu(Rewrite):
    """Relu(integers) -> Max(x, 0)."""

    pattern = Op("Relu", "x")
    input_dtypes = _INTEGERS

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Max", x, np.zeros((), match.dtype(x)))


class ExpandPRelu(Rewrite):
    """PRelu(integers, slope) -> Where(x < 0, x * slope, x)."""

    pattern = Op("PRelu", "x", "slope")
    input_dtypes = _INTEGERS

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor, slope: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        is_negative = new.add("Less", x, np.zeros((), match.dtype(x)))
        return new.end("Where", is_negative, new.add("Mul", x, slope), x)
