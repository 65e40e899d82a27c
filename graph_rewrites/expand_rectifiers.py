"""Rectify integers of types that TensorRT does not rectify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandRelu(Rewrite):
    """Relu(int32) -> Max(x, 0). TensorRT takes int64."""

    pattern = Op("Relu", "x")
    input_dtypes = ("int32",)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Max", x, np.int32(0))


class ExpandPRelu(Rewrite):
    """PRelu(integers, slope) -> Where(x < 0, x * slope, x)."""

    pattern = Op("PRelu", "x", "slope")
    input_dtypes = ("int32", "int64")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(self.input_dtypes, x)

    def rewrite(self, match: Match, x: gs.Tensor, slope: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        is_negative = new.add("Less", x, np.zeros((), match.dtype(x)))
        return new.end("Where", is_negative, new.add("Mul", x, slope), x)
