"""Turn Compress with a stored condition, which TensorRT lacks, into a Gather."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandCompress(Rewrite):
    """Compress(x, condition) -> Gather(x, the indices where the condition holds).

    The condition must be stored in the model, because the shape of the output depends on it.
    Without an axis x is flattened.
    """

    pattern = Op("Compress", "x", "condition")

    def check(self, match: Match, condition: gs.Tensor) -> str | npt.NDArray[np.int64]:
        stored = match.constant(condition)
        if stored is None:
            return "its condition is not stored in the model, so that its shape depends on data"
        return np.flatnonzero(stored)

    def rewrite(self, match: Match, x: gs.Tensor, facts: npt.NDArray[np.int64]) -> list[gs.Node]:
        axis = match.attribute("axis")
        new = Replacement(match)
        if axis is None:
            flat = new.add("Reshape", x, np.array([-1], np.int64))
            return new.end("Gather", flat, facts, axis=0)
        return new.end("Gather", x, facts, axis=axis)
