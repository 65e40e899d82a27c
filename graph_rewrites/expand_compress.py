"""Compress with a condition that the model stores, which TensorRT lacks, becomes a Gather."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandCompress(Rewrite):
    """Compress(x, condition) -> Gather(x, the indices where the condition holds).

    The condition must be stored in the model: otherwise the output's shape depends on its values.
    """

    pattern = "Compress"

    def check(self, match: Match) -> str | None:
        """The condition must be known."""
        if match.constant(match.inputs[1]) is None:
            return "its condition is not stored in the model, so that its shape depends on data"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Without an axis the input is flattened."""
        x, condition = match.inputs
        indices = np.flatnonzero(np.asarray(match.constant(condition)))
        axis = match.attribute("axis")
        new = Replacement(match)
        if axis is None:
            flat = new.add("Reshape", x, np.array([-1], np.int64))
            return new.end("Gather", flat, indices, axis=0)
        return new.end("Gather", x, indices, axis=axis)
