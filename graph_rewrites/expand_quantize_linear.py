"""QuantizeLinear to other integers than int8 around zero becomes a quotient, rounded and cast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.graph_rewrites._quantization import (
    RANGES,
    given,
    is_given,
    is_zero,
    saturated,
    spread,
    why_not_spread,
)
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandQuantizeLinear(Rewrite):
    """QuantizeLinear(x, scale, zero point) -> Cast(Clip(Round(x / scale) + zero point)).

    To uint8 always, for TensorRT takes it around zero but makes int8 of it, without a word; to int8
    where the zero point is not stored in the model or is not zero, which TensorRT refuses. The
    quotient is taken in the type of the scale, or in that of the attribute ``precision``.
    """

    pattern = "QuantizeLinear"

    def check(self, match: Match) -> str | None:
        """Leave int8 around zero, and types such as float8, to TensorRT."""
        elem_type = _output_type(match)
        if elem_type not in RANGES:
            return "the output is of another type than uint8 and int8"
        inputs = match.inputs
        is_symmetric = not is_given(inputs, 2) or is_zero(match, inputs[2])
        if elem_type == _T.INT8 and is_symmetric:
            return "TensorRT takes it as it is: it quantizes to int8 around zero"
        if not all(map(match.elem_type, inputs[:2])):
            return "the type of an input is unknown"
        return why_not_spread(match)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """From the quotient on, float32 is exact."""
        x, scale = match.inputs[:2]
        zero = given(match.inputs, 2)
        precision = match.attribute("precision", 0) or match.elem_type(scale)
        new = Replacement(match)
        divisor = spread(new, match, scale, precision)
        quotient = new.add("Div", new.cast(x, precision), divisor)
        if precision != _T.FLOAT:
            quotient = new.add("Cast", quotient, to=_T.FLOAT)
        zero_point = spread(new, match, zero, _T.FLOAT)
        y = saturated(new, quotient, zero_point, _output_type(match))
        return new.end("Cast", y, to=_output_type(match))


def _output_type(match: Match) -> int:
    stated: int = match.attribute("output_dtype", 0) or match.elem_type(match.outputs[0])
    return stated
