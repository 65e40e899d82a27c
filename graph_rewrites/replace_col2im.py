"""Replace Col2Im with two spatial axes, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.col2im import Col2Im

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceCol2Im(Rewrite):
    """Col2Im(x, image_shape, block_shape) -> Col2Im_PK(x), for two spatial axes.

    The shapes of the image and of its blocks must be stored in the model. ExpandCol2Im takes other
    numbers of axes, and all if this is skipped.
    """

    plugin = Col2Im
    pattern = Op("Col2Im", "x", "image_shape", "block_shape")
    order = -1

    def check(
        self, match: Match, image_shape: gs.Tensor, block_shape: gs.Tensor
    ) -> str | tuple[list[int], list[int]]:
        image, block = match.constant(image_shape), match.constant(block_shape)
        if image is None or block is None:
            return "the image's shape or the block's is not stored in the model"
        if image.size != 2:
            return f"the image has {image.size} axes; the plugin takes 2"
        return image.tolist(), block.tolist()

    def rewrite(self, match: Match, x: gs.Tensor, facts: tuple[list[int], list[int]]) -> NewNode:
        image, block = facts
        plugin = match.plugin(Col2Im, image_shape=image, block_shape=block)
        return match.plugin_node(plugin, [x])
