"""Mod with the divisor's sign, which TensorRT has for integers alone, is spelled out for floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandMod(Rewrite):
    """Mod(a, b, fmod=0) -> r + b where r = Mod(a, b, fmod=1) has the other sign, else r.

    For float32, float16 and bfloat16. A zero result gets the sign of b, as in Python.
    """

    pattern = "Mod"

    def check(self, match: Match) -> str | None:
        """TensorRT takes fmod=1 for floats, and fmod=0 for integers."""
        if match.attribute("fmod", 0):
            return "TensorRT takes it as it is: fmod is 1"
        if match.elem_type(match.inputs[0]) not in FLOATS:
            return NO_FLOAT
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Zero comes as a float32 constant, cast like the inputs."""
        a, b = match.inputs
        new = Replacement(match)
        zero = new.add("Cast", np.float32(0), to=match.elem_type(a))
        remainder = new.add("Mod", a, b, fmod=1)
        is_negative = new.add("Less", b, zero)
        is_other = new.add("Xor", new.add("Less", remainder, zero), is_negative)
        y = new.add("Where", is_other, new.add("Add", remainder, b), remainder)
        signed_zero = new.add("Div", zero, b)
        return new.end("Where", new.add("Equal", remainder, zero), signed_zero, y)
