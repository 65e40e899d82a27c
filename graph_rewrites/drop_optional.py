"""Remove OptionalHasElement and OptionalGetElement of tensors, which TensorRT lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class DropOptional(Rewrite):
    """OptionalGetElement(tensor) -> tensor; OptionalHasElement(tensor) -> true, else false.

    Optional values are left, because their content is only known at run time.
    """

    pattern = Op(("OptionalHasElement", "OptionalGetElement"), Optional("x"))

    def check(self, match: Match, x: gs.Tensor | None) -> str | None:
        if x is None:
            return None
        value_type = match.value_type(x)
        if value_type is None or value_type.WhichOneof("value") != "tensor_type":
            return "its input is an optional value, or of unknown type"
        return None

    def rewrite(self, match: Match, x: gs.Tensor | None) -> list[gs.Node]:
        """OptionalGetElement without an input is invalid ONNX."""
        new = Replacement(match)
        if match.node.op == "OptionalGetElement":
            return new.end("Identity", x)
        return new.end("Identity", np.array(x is not None))
