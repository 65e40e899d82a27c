"""BitwiseNot, which TensorRT lacks, becomes a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.graph_rewrites._types import INTEGERS, NO_INTEGER
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandBitwiseNot(Rewrite):
    """BitwiseNot(x) -> -1 - x, or 255 - x for uint8.

    For uint8, int8, int32 and int64, without overflow.
    """

    pattern = "BitwiseNot"

    def check(self, match: Match) -> str | None:
        """The type must be one that TensorRT computes with."""
        if match.elem_type(match.inputs[0]) not in INTEGERS:
            return NO_INTEGER
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """All bits set is -1, and 255 without a sign; 8 bits are computed in int32."""
        (x,) = match.inputs
        elem_type = match.elem_type(x)
        wide = _T.INT64 if elem_type == _T.INT64 else _T.INT32
        number = onnx.helper.tensor_dtype_to_np_dtype(wide).type
        new = Replacement(match)
        ones = number(255 if elem_type == _T.UINT8 else -1)
        difference = new.add("Sub", ones, new.cast(x, wide))
        return new.end("Cast", difference, to=elem_type)
