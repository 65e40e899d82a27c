"""Replace NonZero, which TensorRT-RTX refuses, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Rewrite
from pluginkit.plugins.non_zero import NonZero

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ReplaceNonZero(Rewrite):
    """NonZero(x) -> NonZero_PK(x), with the count as a second output.

    TensorRT has NonZero from 8.6 on; TensorRT-RTX does not.
    """

    plugin = NonZero
    pattern = Op("NonZero", "x")
    native_since = {"tensorrt": "8.6"}

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return "x is a scalar, which has no axis to count along" if match.rank(x) == 0 else None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(NonZero)
