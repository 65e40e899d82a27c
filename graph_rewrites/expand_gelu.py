"""Spell out Gelu and its relatives, into which ONNX Runtime's optimizer fuses several nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, OfFloats, gelu, number, tanh_gelu
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandGelu(OfFloats):
    """com.microsoft.Gelu(x) -> x * (0.5 + 0.5 * Erf(x / sqrt(2)))."""

    pattern = Op("Gelu", "x", domain=MICROSOFT)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Identity", gelu(new, x, match.dtype(x)))


class ExpandBiasGelu(OfFloats):
    """com.microsoft.BiasGelu(x, bias) -> Gelu(x + bias), spelled out with Erf."""

    pattern = Op("BiasGelu", "x", "bias", domain=MICROSOFT)

    def rewrite(self, match: Match, x: gs.Tensor, bias: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Identity", gelu(new, new.add("Add", x, bias), match.dtype(x)))


class ExpandFastGelu(OfFloats):
    """com.microsoft.FastGelu(x, bias) -> t * (0.5 + 0.5 * Tanh(0.7979 t + 0.0357 t^3)).

    Here t = x + bias; the bias may be absent.
    """

    pattern = Op("FastGelu", "x", Optional("bias"), domain=MICROSOFT)

    def rewrite(self, match: Match, x: gs.Tensor, bias: gs.Tensor | None) -> list[gs.Node]:
        new = Replacement(match)
        value: NodeInput = x if bias is None else new.add("Add", x, bias)
        return new.end("Identity", tanh_gelu(new, value, match.dtype(x)))


class ExpandQuickGelu(OfFloats):
    """com.microsoft.QuickGelu(x) -> x * Sigmoid(alpha * x)."""

    pattern = Op("QuickGelu", "x", domain=MICROSOFT)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        alpha = match.attribute("alpha", 1.702)
        scaled: NodeInput = x
        if alpha != 1:
            scaled = new.add("Mul", x, number(alpha, match.dtype(x)))
        return new.end("Mul", x, new.add("Sigmoid", scaled))


class ExpandBiasSplitGelu(Rewrite):
    """com.microsoft.BiasSplitGelu(x, bias) -> left * Gelu(right), the halves of x + bias.

    The size of the last axis must be known.
    """

    pattern = Op("BiasSplitGelu", "x", "bias", domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor, bias: gs.Tensor) -> str | int:
        size = [*(match.shape(bias) or ()), *(match.shape(x) or (None,))[-1:]]
        known = next((each for each in size if each), None)
        if known is None or known % 2:
            return "the size of the last axis is unknown or odd"
        return match.dtype_problem(FLOATS, x) or known // 2

    def rewrite(self, match: Match, x: gs.Tensor, bias: gs.Tensor, facts: int) -> list[gs.Node]:
        new = Replacement(match)
        value = new.add("Add", x, bias)
        left = new.slice(value, 2, 0, facts)
        right = new.slice(value, 2, facts, 2 * facts)
        return new.end("Mul", left, gelu(new, right, match.dtype(x)))
