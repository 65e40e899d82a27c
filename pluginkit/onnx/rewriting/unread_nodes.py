"""Find nodes whose results nothing needs, and remove those that lost their readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import onnx

from pluginkit.onnx.model.graphs import Scope, names_read, output_names
from pluginkit.onnx.rewriting.scope_edit import drop_value_info, set_nodes


def unread_positions(
    scope: Scope, may_go: Callable[[onnx.NodeProto], bool] = lambda _: True
) -> list[int]:
    """Return the positions of nodes that no output needs, the last one first.

    Args:
        scope: the scope.
        may_go: tells which nodes may be among them; what the others read is needed.
    """
    nodes, unread = list(scope.graph.node), []
    needed = set(output_names(scope.graph))
    for position in reversed(range(len(nodes))):
        if needed.isdisjoint(nodes[position].output) and may_go(nodes[position]):
            unread.append(position)
        else:
            needed |= names_read(nodes[position])
    return unread


def drop_unread(scope: Scope, before: Counter[str]) -> None:
    """Remove the nodes that others read before a change, and that none reads now.

    A node that nothing read before is left, since that is how the model was exported.

    Args:
        scope: the scope, which has been changed.
        before: how many nodes read each value before the change.
    """
    unread = set(
        unread_positions(scope, lambda node: any(before[name] for name in node.output if name))
    )
    if unread:
        nodes = list(scope.graph.node)
        gone = {name for position in unread for name in nodes[position].output}
        set_nodes(scope, [node for at, node in enumerate(nodes) if at not in unread])
        drop_value_info(scope, gone)
