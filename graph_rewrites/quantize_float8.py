"""Turn casts to and from float8 into the nodes by which TensorRT makes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The only float8 that TensorRT has.
_FLOAT8 = "float8e4m3fn"


class QuantizeFloat8(Rewrite):
    """Cast(x, to=float8) -> QuantizeLinear(x, 1); Cast(q, to=float) -> DequantizeLinear(q, 1).

    The second for weights that are stored in float8, too. Only for float8e4m3fn.
    """

    pattern = Op("Cast", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        source, target = match.dtype(x), match.dtype_attribute("to")
        larger = source if target == _FLOAT8 else target
        if _FLOAT8 not in (source, target) or larger not in FLOATS:
            return f"it is none between {_FLOAT8} and one of {', '.join(FLOATS)}"
        if target == _FLOAT8 and match.attribute("saturate", 1) != 1:
            return "it gives NaN for what is too large, and TensorRT the largest number"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new, one = Replacement(match), np.float32(1)
        source, target = match.dtype(x), match.dtype_attribute("to")
        if source == _FLOAT8:
            return new.end("DequantizeLinear", x, new.cast(one, target))
        zero = new.cast(np.float32(0), _FLOAT8)
        return new.end("QuantizeLinear", x, new.cast(one, source), zero)
