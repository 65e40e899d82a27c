"""Name operators of PyTorch, which its exporter keeps, by their own names."""

from __future__ import annotations

import onnx
import onnx.helper

from pluginkit.graph_rewrites._aten import ATEN
from pluginkit.onnx import Match, Op, Rewrite


class RenameAtenOperator(Rewrite):
    """org.pytorch.aten.ATen(..., operator="median") -> org.pytorch.aten.median(...).

    ONNX_ATEN_FALLBACK writes the first, ONNX_FALLTHROUGH the second.
    """

    pattern = Op("ATen", domain=ATEN)
    order = -2

    def check(self, match: Match) -> str | None:
        return None if match.attribute("operator") else "it names no operator"

    def rewrite(self, match: Match) -> onnx.NodeProto:
        node = match.proto
        named = match.attribute("operator")
        return onnx.helper.make_node(named, node.input, node.output, node.name, domain=ATEN)
