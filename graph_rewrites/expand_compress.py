"""Turn Compress, which TensorRT lacks, into a Gather."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandCompress(Rewrite):
    """Compress(x, condition) -> Gather(x, the indices where the condition is true).

    If the model does not store the condition, NonZero finds the indices. Without an axis x is
    flattened; so is a condition that is no vector, as Paddle's masked_select has it.
    """

    pattern = Op("Compress", "x", "condition")

    def rewrite(self, match: Match, x: gs.Tensor, condition: gs.Tensor) -> list[gs.Node]:
        axis = match.attribute("axis")
        stored = match.constant(condition)
        new = Replacement(match)
        everywhere = np.array([-1], np.int64)
        if stored is None:
            is_vector = match.rank(condition) == 1
            flat = condition if is_vector else new.add("Reshape", condition, everywhere)
            indices = new.add("Reshape", new.add("NonZero", flat), everywhere)
        else:
            indices = np.flatnonzero(stored)
        if axis is None:
            return new.end("Gather", new.add("Reshape", x, everywhere), indices, axis=0)
        return new.end("Gather", x, indices, axis=axis)
