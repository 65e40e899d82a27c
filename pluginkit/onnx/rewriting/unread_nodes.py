"""Remove nodes that lost their readers."""

from __future__ import annotations

from collections import Counter

from pluginkit.onnx.model.graphs import Scope, names_read, output_names
from pluginkit.onnx.rewriting.scope_edit import drop_value_info, set_nodes


def drop_unread(scope: Scope, before: Counter[str]) -> None:
    """Remove the nodes that others read before a change, and that none reads now.

    A node that nothing read before is left, since that is how the model was exported.

    Args:
        scope: the scope, which has been changed.
        before: how many nodes read each value before the change.
    """
    nodes = list(scope.graph.node)
    read = set(output_names(scope.graph))
    kept = []
    for node in reversed(nodes):
        if read.isdisjoint(node.output) and any(before[name] for name in node.output if name):
            continue
        kept.append(node)
        read |= names_read(node)
    if len(kept) < len(nodes):
        gone = {name for node in nodes for name in node.output}
        gone -= {name for node in kept for name in node.output}
        set_nodes(scope, kept[::-1])
        drop_value_info(scope, gone)
