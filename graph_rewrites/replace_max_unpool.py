"""Replace MaxUnpool, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, Optional, Rewrite
from pluginkit.plugins.max_unpool import MaxUnpool

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceMaxUnpool(Rewrite):
    """MaxUnpool(x, indices) -> MaxUnpool_PK(x, indices).

    An output shape must be stored in the model, with the batch and the channels of x. If this is
    skipped, ExpandMaxUnpool scatters into zeros, for an x whose shape is known.
    """

    plugin = MaxUnpool
    pattern = Op("MaxUnpool", "x", "indices", Optional("output_shape"))
    order = -1

    def check(self, match: Match, x: gs.Tensor, output_shape: gs.Tensor | None) -> str | list[int]:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        shape = match.shape(x)
        if shape is not None and not 3 <= len(shape) <= 5:
            return f"x has rank {len(shape)}; the plugin takes 3 to 5"
        if output_shape is None:
            return []
        stored = match.constant(output_shape)
        if stored is None:
            return "its output shape is not stored in the model"
        wanted = [int(size) for size in stored.reshape(-1)]
        if shape is None or list(shape[:2]) != wanted[:2]:
            return "its output shape may have another batch or other channels than x"
        return wanted[2:]

    def rewrite(self, match: Match, x: gs.Tensor, indices: gs.Tensor, facts: list[int]) -> NewNode:
        plugin = match.plugin(MaxUnpool, output_sizes=facts or None)
        return match.plugin_node(plugin, [x, indices])
