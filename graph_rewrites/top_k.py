"""TopK of more than 3840 elements, which TensorRT cannot build, becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.top_k import TopK

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The most elements that TensorRT's own TopK gives.
_NATIVE_K = 3840


class ReplaceTopK(Rewrite):
    """TopK(x, k > 3840 or not constant) -> TopK_PK(x, k).

    A k that only a run will tell is left to TensorRT where the axis has no more than 3840 elements.
    """

    plugin = TopK
    pattern = "TopK"

    def check(self, match: Match) -> str | None:
        """Leave to TensorRT what it can build."""
        x = match.inputs[0]
        k = _constant_k(match)
        if k is not None:
            if k <= _NATIVE_K:
                return f"TensorRT takes it as it is: k is {k}, not above {_NATIVE_K}"
            return None
        axis = match.attribute("axis", -1)
        size = x.shape[axis] if x.shape and -len(x.shape) <= axis < len(x.shape) else None
        if isinstance(size, int) and size <= _NATIVE_K:
            return (
                f"TensorRT takes it as it is: the axis has {size} elements, not above {_NATIVE_K}"
            )
        return None

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's inputs and attributes; before opset 10, k was one."""
        import onnx_graphsurgeon as gs

        plugin = TopK(
            axis=match.attribute("axis", -1),
            largest=bool(match.attribute("largest", 1)),
            sorted=bool(match.attribute("sorted", 1)),
        )
        inputs = match.inputs
        if len(inputs) == 1:
            inputs.append(gs.Constant("k", np.array([match.attribute("k")], np.int64)))
        return match.plugin_node(plugin, inputs)


def _constant_k(match: Match) -> int | None:
    if len(match.inputs) == 1:
        return int(match.attribute("k"))
    k = match.constant(match.inputs[1])
    return None if k is None else int(k.reshape(-1)[0])
