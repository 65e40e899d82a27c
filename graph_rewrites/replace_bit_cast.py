"""Replace BitCast, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.bit_cast import BitCast

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

_GROUPS = ({"float32", "int32"}, {"float16", "bfloat16"})


class ReplaceBitCast(Rewrite):
    """BitCast(x, to) -> BitCast_PK(x, to), for types of 2 and 4 bytes."""

    plugin = BitCast
    pattern = Op("BitCast", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        types = {match.dtype(x), match.dtype_attribute("to")}
        if not any(types <= group for group in _GROUPS):
            return "a plugin cannot have one of its types"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> NewNode:
        return match.plugin_node(match.plugin(BitCast), [x])
