"""QLinearConv, which TensorRT lacks, becomes an exact convolution in float32, scaled, rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.graph_rewrites._convolutions import convolved, per_channel, why_not_convolve
from pluginkit.graph_rewrites._quantization import RANGES, is_given, rank_of, saturated
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandQLinearConv(Rewrite):
    """QLinearConv(x, w, bias) -> clip(round((Conv(x - zx, w - zw) + bias) * (sx * sw / sy)) + zy).

    The convolution is exact, as that of ConvInteger; it is scaled in float32 and rounded to even
    before the zero point is added, as by ONNX Runtime.
    """

    pattern = "QLinearConv"

    def check(self, match: Match) -> str | None:
        """The types, and the ranks of the weights' scale and zero point, must be known."""
        if any(rank_of(match, match.inputs[at]) is None for at in (4, 5)):
            return "the rank of the weights' scale or zero point is unknown"
        if match.elem_type(match.inputs[7]) not in RANGES:
            return "the type of the output is unknown, or neither uint8 nor int8"
        return why_not_convolve(match, match.inputs[0], match.inputs[3])

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The bias is int32, in units of both scales."""
        x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = match.inputs[:8]
        rank = rank_of(match, w) or 0
        new = Replacement(match)
        total = convolved(new, match, (x, x_zero), (w, w_zero))
        if is_given(match.inputs, 8):
            bias = per_channel(new, match, match.inputs[8], rank, _T.INT32, axis=1)
            total = new.add("Add", total, bias)
        factor = new.add("Mul", x_scale, per_channel(new, match, w_scale, rank, _T.FLOAT, axis=1))
        scaled = new.add(
            "Mul", new.add("Cast", total, to=_T.FLOAT), new.add("Div", factor, y_scale)
        )
        elem_type = match.elem_type(y_zero)
        y = saturated(new, scaled, new.cast(y_zero, _T.FLOAT), elem_type)
        return new.end("Cast", y, to=elem_type)
