"""Replace ScatterElements with a reduction, which TensorRT refuses, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.scatter_elements import ScatterElements

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class _ReplaceScatterElements(Rewrite, abstract=True):
    plugin = ScatterElements
    pattern = Op(("ScatterElements", "Scatter"), "data", "indices", "updates")

    def rewrite(self, match: Match) -> NewNode:
        is_ordered = match.attribute("reduction", "none") == "none"
        return match.plugin_node(match.plugin(ScatterElements, deterministic=is_ordered))


class ReplaceEveryScatterElements(_ReplaceScatterElements):
    """ScatterElements(data, indices, updates) -> ScatterElements_PK(same), whatever TensorRT takes.

    TensorRT fails where there are more indices than elements along the axis, as of the sums over
    rows by PyTorch's first exporter, and sizes that vary do not tell it before. ``build`` then
    begins again with this rewrite, unless it is left out by name.
    """

    opt_in = True


class ReplaceScatterElements(_ReplaceScatterElements):
    """ScatterElements(data, indices, updates, reduction != none) -> ScatterElements_PK(same).

    Opset 16 brought add and mul, opset 18 min and max. TensorRT has the operator without a
    reduction, and Scatter of opset 9 and 10, which never has one, unless there are more indices
    than elements along the axis: then the last update of an element counts, as in ONNX Runtime.
    """

    def check(self, match: Match, data: gs.Tensor, indices: gs.Tensor) -> str | None:
        if match.attribute("reduction", "none") != "none" or has_more_indices(match, data, indices):
            return None
        return "TensorRT takes it: it has no reduction"


def has_more_indices(match: Match, data: gs.Tensor, indices: gs.Tensor) -> bool:
    """Whether there are known to be more indices than elements along the axis."""
    sizes, counts, axis = match.shape(data), match.shape(indices), match.attribute("axis", 0)
    if not sizes or not counts or not -len(sizes) <= axis < len(sizes) == len(counts):
        return False
    size, count = sizes[axis], counts[axis]
    return size is not None and count is not None and count > size
