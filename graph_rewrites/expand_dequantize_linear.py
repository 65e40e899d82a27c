"""DequantizeLinear of other integers than int8 around zero becomes a difference and a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.graph_rewrites._quantization import (
    RANGES,
    centered,
    given,
    is_given,
    is_zero,
    spread,
    why_not_spread,
)
from pluginkit.graph_rewrites._types import FLOATS
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandDequantizeLinear(Rewrite):
    """DequantizeLinear(x, scale, zero point) -> (x - zero point) * scale.

    Of uint8 and int32 always, of int8 where the zero point is not stored in the model or is not
    zero: TensorRT's own quantization is around zero, from int8. The product is taken in the type of
    the scale, which holds every difference of 8-bit integers; of int32 in float32.
    """

    pattern = "DequantizeLinear"

    def check(self, match: Match) -> str | None:
        """Leave int8 around zero, and types such as float8, to TensorRT."""
        x, scale = match.inputs[:2]
        if match.elem_type(x) not in (*RANGES, _T.INT32):
            return "the input is of another type than uint8, int8 and int32"
        is_symmetric = not is_given(match.inputs, 2) or is_zero(match, match.inputs[2])
        if match.elem_type(x) == _T.INT8 and is_symmetric:
            return "TensorRT takes it as it is: it dequantizes int8 around zero"
        if match.elem_type(scale) not in FLOATS:
            return "the scale's type is unknown, or none of float32, float16 and bfloat16"
        return why_not_spread(match)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The output may have another type than the scale."""
        x, scale = match.inputs[:2]
        zero = given(match.inputs, 2)
        new = Replacement(match)
        elem_type = match.elem_type(scale)
        wanted = match.attribute("output_dtype", 0) or elem_type
        if match.elem_type(x) == _T.INT32:
            elem_type = _T.FLOAT
        difference = centered(new, x, spread(new, match, zero, elem_type), elem_type)
        factor = spread(new, match, scale, elem_type)
        if wanted == elem_type:
            return new.end("Mul", difference, factor)
        return new.end("Cast", new.add("Mul", difference, factor), to=wanted)
