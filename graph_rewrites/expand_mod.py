"""Spell out Mod with the sign of the divisor for floats; TensorRT has it only for integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandMod(Rewrite):
    """Mod(a, b, fmod=0) -> r + b where r = Mod(a, b, fmod=1) has the other sign, else r.

    For float32, float16 and bfloat16. A result of zero gets the sign of b, as in Python.
    """

    pattern = Op("Mod", "a", "b")

    def check(self, match: Match, a: gs.Tensor) -> str | None:
        if match.attribute("fmod", 0):
            return "TensorRT takes it: fmod is 1"
        return match.dtype_problem(FLOATS, a)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        zero = new.add("Cast", np.float32(0), to=match.dtype(a))
        remainder = new.add("Mod", a, b, fmod=1)
        is_negative = new.add("Less", b, zero)
        has_other_sign = new.add("Xor", new.add("Less", remainder, zero), is_negative)
        y = new.add("Where", has_other_sign, new.add("Add", remainder, b), remainder)
        signed_zero = new.add("Div", zero, b)
        return new.end("Where", new.add("Equal", remainder, zero), signed_zero, y)
