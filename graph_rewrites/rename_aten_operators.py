"""Bring operators of PyTorch, which its exporter keeps, into one form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._aten import ATEN
from pluginkit.onnx import Change, GraphRewrite, Graphs, Match, Op, Rewrite, is_op, place_of, scopes


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


class StoreAtenText(GraphRewrite):
    """Constant(value="right") -> Constant(value=[114, 105, 103, 104, 116]).

    torch stores the texts that its operators read in this way, and TensorRT refuses a text also
    where nothing reads it.
    """

    pattern = Op("Constant")
    order = -2

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        changes: list[Change] = []
        for scope in scopes(graphs.model):
            for node in scope.graph.node:
                if not is_op(node, "Constant") or len(node.attribute) != 1:
                    continue
                (value,) = node.attribute
                if value.name == "value" and value.type == onnx.AttributeProto.STRING:
                    numbers = onnx.numpy_helper.from_array(np.array([*value.s], np.int32))
                    value.CopyFrom(onnx.helper.make_attribute("value", numbers))
                    changes.append((place_of(scope, node), ("Constant",)))
        return changes
