"""Replace RoiAlign, which TensorRT-RTX lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.roi_align import RoiAlign

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class ReplaceRoiAlign(Rewrite):
    """RoiAlign(x, rois, batch_indices) -> RoiAlign_PK(same).

    From 8.5 on TensorRT has its own plugin for it, which TensorRT-RTX lacks. Before opset 16 the
    operator works like the later mode output_half_pixel.
    """

    plugin = RoiAlign
    pattern = Op("RoiAlign", "x", "rois", "batch_indices")
    native_since = {"tensorrt": "8.5"}

    def rewrite(self, match: Match) -> NewNode:
        if match.opset >= 16:
            return match.plugin_node(RoiAlign)
        mode = "output_half_pixel"
        return match.plugin_node(match.plugin(RoiAlign, coordinate_transformation_mode=mode))
