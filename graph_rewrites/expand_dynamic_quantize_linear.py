"""DynamicQuantizeLinear, which TensorRT lacks, is spelled out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._quantization import saturated
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_ZERO, _ONE, _STEPS = np.float32(0), np.float32(1), np.float32(255)


class ExpandDynamicQuantizeLinear(Rewrite):
    """DynamicQuantizeLinear(x) -> clip(round(x / scale) + zero point), scale = range of x / 255.

    The range includes zero, and the zero point is what the least of it becomes. Where x is nothing
    but zeros the scale is 0, as ONNX has it (ONNX Runtime says 1), and so are y and the zero point.
    """

    pattern = "DynamicQuantizeLinear"

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Everything is float32 but for the casts at the end."""
        (x,) = match.inputs
        new = Replacement(match)
        least = new.add("Min", new.add("ReduceMin", x, keepdims=0), _ZERO)
        greatest = new.add("Max", new.add("ReduceMax", x, keepdims=0), _ZERO)
        span = new.add("Sub", greatest, least)
        scale = new.add("Div", span, _STEPS)
        is_flat = new.add("Equal", scale, _ZERO)
        divisor = new.add("Where", is_flat, _ONE, scale)
        shift = new.add("Div", new.add("Sub", _ZERO, least), divisor)
        zero = new.add("Round", new.add("Max", new.add("Min", shift, _STEPS), _ZERO))
        y = saturated(new, new.add("Div", x, divisor), zero, _T.UINT8)
        made = ((y, _T.UINT8), (scale, _T.FLOAT), (zero, _T.UINT8))
        for output, (value, elem_type) in zip(match.outputs, made, strict=False):
            if output.name:
                new.into([output], "Cast", value, to=elem_type)
        return list(new)
