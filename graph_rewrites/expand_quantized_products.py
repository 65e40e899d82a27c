"""Split the quantized matrix products of ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._quantized import (
    QUANTIZES_SINCE,
    dequantized,
    quantize,
    rank_problem,
)
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_QUANTIZED = ("uint8", "int8")


class ExpandQGemm(Rewrite):
    """com.microsoft.QGemm(a, b, c) -> QuantizeLinear(Gemm(DequantizeLinear(a), ...) + c * scales).

    Each column of b may have its own scale. Without a scale of y the output is float32.
    """

    pattern = Op(
        "QGemm",
        *("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", Optional("c")),
        *(Optional("y_scale"), Optional("y_zero")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        y_scale: gs.Tensor | None,
    ) -> str | None:
        problem = match.dtype_problem(_QUANTIZED, a, b) or rank_problem(match, a_scale, y_scale)
        if problem is not None:
            return problem
        if match.rank(b_scale) is None:
            return f"the rank of '{b_scale.name}' is unknown"
        if match.onnx_opset < 13 and match.shape(b_scale) not in ((), (1,)):
            return "ONNX dequantizes columns since opset 13"
        return None

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        a_zero: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor,
        c: gs.Tensor | None,
        y_scale: gs.Tensor | None,
        y_zero: gs.Tensor | None,
    ) -> list[gs.Node]:
        """Scale the integers c like the products."""
        new = Replacement(match)
        flags = {name: match.attribute(name, 0) for name in ("transA", "transB")}
        alpha = match.attribute("alpha", 1.0)
        axis = None if match.shape(b_scale) in ((), (1,)) else 1 - flags["transB"]
        left = dequantized(new, a, a_scale, a_zero)
        right = dequantized(new, b, b_scale, b_zero, axis)
        y: NodeInput = new.add("Gemm", left, right, alpha=alpha, **flags)
        if c is not None:
            scale = new.add("Mul", new.add("Mul", a_scale, b_scale), np.float32(alpha))
            y = new.add("Add", y, new.add("Mul", new.cast(c, "float32"), scale))
        if y_scale is None:
            return new.end("Identity", y)
        dtype = match.dtype(a) if y_zero is None else match.dtype(y_zero)
        return quantize(new, match, y, y_scale, y_zero, dtype)


class ExpandDynamicQuantizeMatMul(Rewrite):
    """com.microsoft.DynamicQuantizeMatMul(a, b) -> MatMulInteger(quantized a, b) * scales."""

    pattern = Op(
        "DynamicQuantizeMatMul",
        *("a", "b", "b_scale", Optional("b_zero"), Optional("bias")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        if match.onnx_opset < 11:
            return "ONNX quantizes dynamically since opset 11"
        return match.dtype_problem(("float32",), a) or match.dtype_problem(_QUANTIZED, b)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor | None,
        bias: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        quantized, scale, zero = new.add_many("DynamicQuantizeLinear", a, outputs=3)
        return _product(new, (quantized, b), (scale, b_scale), (zero, b_zero), bias)


class ExpandMatMulIntegerToFloat(Rewrite):
    """com.microsoft.MatMulIntegerToFloat(a, b) -> MatMulInteger(a, b) * scales + bias."""

    pattern = Op(
        "MatMulIntegerToFloat",
        *("a", "b", "a_scale", "b_scale", Optional("a_zero"), Optional("b_zero")),
        Optional("bias"),
        domain=MICROSOFT,
    )

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor, a_scale: gs.Tensor) -> str | None:
        if match.onnx_opset < QUANTIZES_SINCE:
            return f"ONNX multiplies integers since opset {QUANTIZES_SINCE}"
        problem = match.dtype_problem(_QUANTIZED, a, b) or rank_problem(match, a_scale)
        return problem or match.dtype_problem(("float32",), a_scale)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        b: gs.Tensor,
        a_scale: gs.Tensor,
        b_scale: gs.Tensor,
        a_zero: gs.Tensor | None,
        b_zero: gs.Tensor | None,
        bias: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        return _product(new, (a, b), (a_scale, b_scale), (a_zero, b_zero), bias)


def _product(
    new: Replacement,
    factors: tuple[NodeInput, NodeInput],
    scales: tuple[NodeInput, NodeInput],
    zeros: tuple[NodeInput, NodeInput],
    bias: NodeInput,
) -> list[gs.Node]:
    """Produce the output of the match: the scaled product of integers, plus a bias."""
    inputs = [*factors, *zeros]
    while inputs[-1] is None:
        inputs.pop()
    wide = new.add("Cast", new.add("MatMulInteger", *inputs), to="float32")
    scale = new.add("Mul", *scales)
    if bias is None:
        return new.end("Mul", wide, scale)
    return new.end("Add", new.add("Mul", wide, scale), bias)


class ExpandLongQLinearMatMul(Rewrite):
    """QLinearMatMul(a, b) -> QuantizeLinear(MatMul(DequantizeLinear(a), DequantizeLinear(b))).

    For sums of unknown length, which ExpandQLinearMatMul cannot compute exactly. Here they are
    rounded like all floating-point sums. Each scale must be a single number.
    """

    pattern = Op(
        "QLinearMatMul",
        *("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"),
    )

    def check(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor,
    ) -> str | None:
        left, right = match.shape(a), match.shape(b)
        if not left or not right or len(right) < 2:
            return "the rank of an input is unknown, or below 2"
        if left[-1] is not None or right[-2] is not None:
            return "the length of its sums is known"
        problem = match.dtype_problem(_QUANTIZED, a, b, y_zero)
        return problem or rank_problem(match, a_scale, b_scale, y_scale)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        a_zero: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor,
    ) -> list[gs.Node]:
        new = Replacement(match)
        left, right = dequantized(new, a, a_scale, a_zero), dequantized(new, b, b_scale, b_zero)
        y = new.add("MatMul", left, right)
        return quantize(new, match, y, y_scale, y_zero, match.dtype(y_zero))
