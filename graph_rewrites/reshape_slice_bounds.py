"""Give Slice vectors for bounds that are scalars, as PyTorch exports tensor_split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReshapeSliceBounds(Rewrite):
    """Slice(x, scalar, scalar, ...) -> Slice(x, Reshape(scalar, [1]), ...).

    ONNX wants vectors of starts, ends, axes and steps; ONNX Runtime takes scalars too.
    """

    pattern = Op("Slice", "x", ...)

    def check(self, match: Match) -> str | None:
        if not any(match.rank(each) == 0 for each in match.inputs[1:]):
            return "TensorRT takes it: its bounds are not known to be scalars"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        bounds: list[NodeInput] = [
            new.add("Reshape", each, np.array([1])) if match.rank(each) == 0 else each
            for each in match.inputs[1:]
        ]
        return new.end("Slice", x, *bounds)
