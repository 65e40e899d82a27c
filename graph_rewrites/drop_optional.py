"""OptionalHasElement and OptionalGetElement of tensors, which TensorRT lacks, go away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._quantization import is_given
from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class DropOptional(Rewrite):
    """OptionalGetElement(tensor) -> tensor; OptionalHasElement(tensor) -> true, of nothing false.

    Optional values themselves, whose content is not known from the model, are left.
    """

    pattern = Op(("OptionalHasElement", "OptionalGetElement"))

    def check(self, match: Match) -> str | None:
        """The input must be a tensor, or absent."""
        if not is_given(match.inputs, 0):
            return None
        value_type = match.value_type(match.inputs[0])
        if value_type is None or value_type.WhichOneof("value") != "tensor_type":
            return "its input is an optional value, or of unknown type"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """An absent input has no element to get, which ONNX rules out."""
        new = Replacement(match)
        if match.node.op == "OptionalGetElement":
            return new.end("Identity", match.inputs[0])
        return new.end("Identity", np.array(is_given(match.inputs, 0)))
