"""Put nodes in the places of others, and remove what nothing reads then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from pluginkit.onnx.model.graphs import names_read
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.scope_edit import drop_value_info, set_nodes


def replace_nodes(index: GraphIndex, new: Mapping[int, Sequence[onnx.NodeProto]]) -> None:
    """Put nodes in the places of others, and remove what nothing reads then.

    Args:
        index: the nodes of a scope, which is changed.
        new: at least one position, and the nodes to put there.
    """
    scope = index.scope
    removed, released = set(new), set[str]()
    for position, made in new.items():
        index.replace([index.nodes[position]], list(made))
        released |= names_read(index.nodes[position])
    for position in reversed(range(max(new))):
        node = index.nodes[position]
        is_read = any(index.readers[name] or name in index.outputs for name in node.output)
        if position not in new and not is_read and not released.isdisjoint(node.output):
            removed.add(position)
            index.replace([node], [])
            released |= names_read(node)
    kept: list[onnx.NodeProto] = []
    gone = {name for position in removed - set(new) for name in index.nodes[position].output}
    for position, node in enumerate(index.nodes):
        if position in new:
            first = len(scope.graph.node)
            scope.graph.node.extend(new[position])
            kept += scope.graph.node[first:]
        elif position not in removed:
            kept.append(node)
    set_nodes(scope, kept)
    drop_value_info(scope, gone)
