"""Replace MaxPool with indices or dilations, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, Rewrite
from pluginkit.plugins.max_pool import MaxPool

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceMaxPool(Rewrite):
    """MaxPool(x) whose indices are used, or with dilations -> MaxPool_PK(x).

    ExpandPool spells out dilations where the spatial sizes of x are known. If this is skipped,
    ExpandMaxPoolIndices gathers the windows of an x whose shape is known.
    """

    plugin = MaxPool
    pattern = Op("MaxPool", "x")
    order = -1

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if not any(map(match.is_used, match.outputs[1:])):
            if set(match.attribute("dilations", [1])) == {1}:
                return "its indices are not used"
            if None not in (match.shape(x) or [None])[2:]:
                return "its indices are not used, and its spatial sizes are known"
        problem = match.dtype_problem((*FLOATS, "int8"), x)
        if problem is not None:
            return problem
        rank = match.rank(x)
        if rank is not None and not 3 <= rank <= 5:
            return f"x has rank {rank}; the plugin takes 3 to 5"
        return None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(MaxPool)
