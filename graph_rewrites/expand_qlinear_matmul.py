"""QLinearMatMul, which TensorRT lacks, becomes exact products in float32, scaled and rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.graph_rewrites._matrix_products import multiplied, per_row, why_not_multiply
from pluginkit.graph_rewrites._quantization import RANGES, rank_of, saturated
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandQLinearMatMul(Rewrite):
    """QLinearMatMul(a, b) -> clip(round(MatMul(a - za, b - zb) * (sa * sb / sy)) + zy).

    The products are exact, as those of MatMulInteger; they are scaled in float32 and rounded to
    even before the zero point is added, as by ONNX Runtime.
    """

    pattern = "QLinearMatMul"

    def check(self, match: Match) -> str | None:
        """The types, and the ranks of scales and zero points, must be known."""
        if any(rank_of(match, each) is None for each in match.inputs):
            return "the rank of an input is unknown"
        if match.elem_type(match.inputs[7]) not in RANGES:
            return "the type of the output is unknown, or neither uint8 nor int8"
        return why_not_multiply(match, match.inputs[0], match.inputs[3])

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Scales may be float16."""
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = match.inputs
        new = Replacement(match)
        product = new.add("Cast", multiplied(new, match, (a, a_zero), (b, b_zero)), to=_T.FLOAT)
        of_a, of_y = (per_row(new, match, each) for each in (a_scale, y_scale))
        of_b = new.cast(b_scale, _T.FLOAT)
        scaled = new.add("Mul", product, new.add("Div", new.add("Mul", of_a, of_b), of_y))
        elem_type = match.elem_type(y_zero)
        y = saturated(new, scaled, per_row(new, match, y_zero), elem_type)
        return new.end("Cast", y, to=elem_type)
