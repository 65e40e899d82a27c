"""Replace TopK with k above 3840, which TensorRT cannot build, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Rewrite
from pluginkit.plugins.top_k import TopK

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

#: The largest k of TensorRT's own TopK.
_NATIVE_K = 3840


class ReplaceTopK(Rewrite):
    """TopK(x, k > 3840 or not constant) -> TopK_PK(x, k).

    A k that is only known at run time is left to TensorRT if the axis has at most 3840 elements.
    Before opset 10, k is an attribute.
    """

    plugin = TopK
    pattern = Op("TopK", "x", Optional("k"))

    def check(self, match: Match, x: gs.Tensor, k: gs.Tensor | None) -> str | None:
        stored = match.attribute("k") if k is None else match.constant(k)
        if stored is not None:
            number = int(np.ravel(stored)[0])
            if number <= _NATIVE_K:
                return f"TensorRT takes it: k is {number}, not above {_NATIVE_K}"
            return None
        axis = match.attribute("axis", -1)
        shape = match.shape(x) or ()
        size = shape[axis] if -len(shape) <= axis < len(shape) else None
        if size is not None and size <= _NATIVE_K:
            return f"TensorRT takes it: the axis has {size} elements, not above {_NATIVE_K}"
        return None

    def rewrite(self, match: Match, x: gs.Tensor, k: gs.Tensor | None) -> NewNode:
        import onnx_graphsurgeon as gs

        if k is None:
            k = gs.Constant("k", np.array([match.attribute("k")], np.int64))
        return match.plugin_node(match.plugin(TopK, ignoring=["k"]), [x, k])
