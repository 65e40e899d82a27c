"""Replace NonMaxSuppression, for which TensorRT-RTX has no kernel, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Optional, Rewrite
from pluginkit.plugins.non_max_suppression import NonMaxSuppression

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceNonMaxSuppression(Rewrite):
    """NonMaxSuppression(boxes, scores, ...) -> NonMaxSuppression_PK(same), with the count.

    A stored max_output_boxes_per_class also limits the output. TensorRT has NonMaxSuppression from
    8.5 on; TensorRT-RTX parses it, but cannot build it.
    """

    plugin = NonMaxSuppression
    pattern = Op(
        "NonMaxSuppression",
        "boxes",
        "scores",
        Optional("most"),
        Optional("iou_threshold"),
        Optional("score_threshold"),
    )
    native_since = {"tensorrt": "8.5"}

    def check(self, match: Match, iou_threshold: gs.Tensor | None) -> str | None:
        stored = None if iou_threshold is None else match.constant(iou_threshold)
        if stored is None or (stored.size == 1 and 0 <= stored.item() <= 1):
            return None
        return f"iou_threshold is {stored.tolist()}; ONNX has a number from 0 to 1"

    def rewrite(
        self,
        match: Match,
        boxes: gs.Tensor,
        scores: gs.Tensor,
        most: gs.Tensor | None,
        iou_threshold: gs.Tensor | None,
        score_threshold: gs.Tensor | None,
    ) -> NewNode:
        stored = None if most is None else match.value_from_shapes(most)
        bound = None if stored is None or stored.size != 1 else max(stored.item(), 0)
        is_bounded = bound is not None and bound < 2**31
        plugin = match.plugin(NonMaxSuppression, most_boxes=bound if is_bounded else None)
        return match.plugin_node(plugin, [boxes, scores, most, iou_threshold, score_threshold])
