"""Dropout in training mode that drops nothing, which TensorRT refuses, goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._quantization import is_zero
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class DropDropout(Rewrite):
    """Dropout(x, ratio=0, training_mode) -> x, and a mask of all true.

    The ratio must be stored in the model; whether it trains does not matter then.
    """

    pattern = "Dropout"

    def check(self, match: Match) -> str | None:
        """TensorRT takes a Dropout that does not train."""
        inputs = match.inputs
        if len(inputs) < 3 or not inputs[2].name or is_zero(match, inputs[2]):
            return "TensorRT takes it as it is: it does not train"
        if not inputs[1].name or not is_zero(match, inputs[1]):
            return "its ratio is not zero, or not stored in the model: what it drops is random"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The mask has the shape of x."""
        x = match.inputs[0]
        new = Replacement(match)
        if any(map(match.is_used, match.outputs[1:])):
            new.into(match.outputs[1:], "Expand", np.array(True), new.add("Shape", x))
        return new.into(match.outputs[:1], "Identity", x)
