"""NonZero, which TensorRT-RTX's parser refuses, becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.non_zero import NonZero

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReplaceNonZero(Rewrite):
    """NonZero(x) -> NonZero_PK(x), with the count as a second output.

    TensorRT itself has NonZero from 8.6 on; TensorRT-RTX does not.
    """

    plugin = NonZero
    pattern = "NonZero"
    native_since = {"tensorrt": "8.6"}

    def check(self, match: Match) -> str | None:
        """Scalars have no coordinates that TensorRT could carry."""
        shape = match.inputs[0].shape
        if shape is not None and len(shape) == 0:
            return "x is a scalar, which has no dimension to count along"
        return None

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's input."""
        return match.plugin_node(NonZero(), match.inputs)
