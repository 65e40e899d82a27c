"""Replace DeformConv, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Optional, Rewrite
from pluginkit.plugins.deform_conv import DeformConv

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceDeformConv(Rewrite):
    """DeformConv(x, w, offset, b, mask) -> DeformConv_PK(same), for images.

    No TensorRT has it. Opset 22 added bfloat16 to what opset 19 has, and nothing else.
    """

    plugin = DeformConv
    pattern = Op("DeformConv", "x", "w", "offset", Optional("b"), Optional("mask"))

    def check(self, match: Match, x: gs.Tensor, w: gs.Tensor, offset: gs.Tensor) -> str | None:
        ranks = [match.rank(tensor) for tensor in (x, w, offset)]
        rank = next((rank for rank in ranks if rank is not None), None)
        if rank == 4:
            return None
        return f"x has {'an unknown rank' if rank is None else f'rank {rank}'}; an image has rank 4"

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(DeformConv)
