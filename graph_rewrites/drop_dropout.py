"""Remove a Dropout in training mode that drops nothing; TensorRT refuses training mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class DropDropout(Rewrite):
    """Dropout(x, ratio=0, training_mode) -> x, and a mask of all true.

    The ratio must be stored in the model. The training mode then makes no difference.
    """

    pattern = Op("Dropout", "x", Optional("ratio"), Optional("training"))

    def check(
        self, match: Match, ratio: gs.Tensor | None, training: gs.Tensor | None
    ) -> str | None:
        if training is None or match.is_zero(training):
            return "TensorRT takes it: it does not train"
        if ratio is None or not match.is_zero(ratio):
            return "its ratio is not zero, or not stored in the model: what it drops is random"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        if any(map(match.is_used, match.outputs[1:])):
            new.into(match.outputs[1:], "Expand", np.array(True), new.add("Shape", x))
        return new.into(match.outputs[:1], "Identity", x)
