"""Store the K of a TopK that follows from the shape of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class StoreTopK(Rewrite):
    """TopK(x, Gather(Shape(x), axis)) -> TopK(x, k), if that size is known.

    Exporters write a full sort in this way. With a stored k the shapes of the outputs are known,
    which the next TopK needs: TensorRT supports an unknown k only up to 3840 elements.
    """

    pattern = Op("TopK", "x", "k")
    order = -1

    def check(self, match: Match, k: gs.Tensor) -> str | int:
        if match.constant(k) is not None:
            return "its k is stored already"
        shape = match.shape(match.outputs[0])
        if shape is not None and None not in shape:
            return "the shapes of its outputs are known already"
        value = match.value_from_shapes(k)
        if value is None or value.size != 1:
            return "its k does not follow from shapes that are known"
        return int(value.item())

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[gs.Node]:
        k = np.array([facts], np.int64)
        return Replacement(match).into(match.outputs, "TopK", x, k, **match.node.attrs)
