"""Replace MaxRoiPool, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Op, Rewrite
from pluginkit.plugins.max_roi_pool import MaxRoiPool

if TYPE_CHECKING:
    from pluginkit.onnx import Match, NewNode


class ReplaceMaxRoiPool(Rewrite):
    """MaxRoiPool(x, rois) -> MaxRoiPool_PK(same), as torchvision's roi_pool is exported."""

    plugin = MaxRoiPool
    pattern = Op("MaxRoiPool", "x", "rois")

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(MaxRoiPool)
