"""Skip a cast to an integer type that TensorRT does not have, if it loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Operand, PatternBuilder, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: For each integer type that TensorRT lacks, the types whose every value it holds.
_HELD = {
    "int16": ("bool", "int8", "uint8"),
    "uint16": ("bool", "uint8"),
    "uint32": ("bool", "uint8", "uint16"),
    "uint64": ("bool", "uint8", "uint16", "uint32"),
}


class MergeCasts(Rewrite):
    """Cast(Cast(x, to=int16 | uint16 | uint32 | uint64), to) -> Cast(x, to).

    Only if the type between holds every value of x's type: from a wider type the first cast wraps
    around, which the second alone would not. double needs no rewrite: TensorRT takes it, and
    computes in float32.
    """

    def pattern(self, op: PatternBuilder, x: Operand) -> Op:
        return op.Cast(op.Cast(x).named("first"))

    def check(self, match: Match, x: gs.Tensor, first: gs.Node) -> str | None:
        between = match.dtype(first.outputs[0])
        if between not in _HELD:
            return "TensorRT takes it: it has the type between"
        if match.dtype(x) not in _HELD[between]:
            return f"{between} may not hold every value of x"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Cast", x, to=match.attribute("to"))
