"""Drop nodes of foreign operators whose results nothing reads."""

from __future__ import annotations

from collections.abc import Iterable

from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    place_of,
    replace_nodes,
    unread_positions,
)

_ONNX = ("", "ai.onnx")


class DropUnread(GraphRewrite):
    """d = com.example.Op(x), unread = Relu(d) -> nothing, where no output needs them.

    As they are left where an output of a model was removed. TensorRT drops what nothing needs, but
    refuses a node of another domain before that. Nodes of ONNX alone are left to it.
    """

    pattern = Op(("ArrayFeatureExtractor", "LabelEncoder", "ZipMap"), domain="ai.onnx.ml")
    order = -6

    def may_change(self, graphs: Graphs) -> bool:
        return any(entry.domain not in _ONNX for entry in graphs.model.opset_import)

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterable[Change]:
        index = GraphIndex(scope)
        unread = unread_positions(scope)
        if all(index.nodes[position].domain in _ONNX for position in unread):
            return []
        replace_nodes(index, dict.fromkeys(unread, ()))
        return [(place_of(scope, index.nodes[position]), ()) for position in reversed(unread)]
