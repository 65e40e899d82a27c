"""Spell out Elu of signals, on which TensorRT's builder fails in some models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandElu(Rewrite):
    """Elu(x) -> Max(x, 0) + alpha * (Exp(Min(x, 0)) - 1), of three axes.

    TensorRT supports Elu, but between convolutions of signals, as in Encodec, its builder fails:
    "Error during shape inference of ... elu". Computed in float32.
    """

    pattern = Op("Elu", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.rank(x) != 3:
            return "TensorRT takes it: its input is not known to have three axes"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        wide, zero = new.cast(x, "float32"), np.float32(0)
        powers = new.add("Exp", new.add("Min", wide, zero))
        below = new.add("Sub", powers, np.float32(1))
        alpha = match.attribute("alpha", 1.0)
        if alpha != 1:
            below = new.add("Mul", below, np.float32(alpha))
        y = new.add("Add", new.add("Max", wide, zero), below)
        return new.end("Cast", y, to=match.dtype(x))
