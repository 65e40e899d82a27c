"""Replace mmcv's operator for multi-scale deformable attention by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class ReplaceMMCVDeformableAttention(Rewrite):
    """mmdeploy::MMCVMultiScaleDeformableAttention(...) -> MultiScaleDeformableAttention_PK(same).

    As mmdeploy exports it. Its im2col_step, how many images one launch takes, changes no result.
    """

    plugin = MultiScaleDeformableAttention
    pattern = Op(
        "MMCVMultiScaleDeformableAttention",
        *("value", "spatial_shapes", "level_start_index", "sampling_loc", "attn_weight"),
        domain="mmdeploy",
    )

    def rewrite(self, match: Match) -> NewNode:
        plugin = match.plugin(MultiScaleDeformableAttention, ignoring=["im2col_step"])
        return match.plugin_node(plugin)
