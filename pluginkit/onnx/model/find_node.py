"""Find the node of a model that a user names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import onnx

from pluginkit.errors import UsageError
from pluginkit.onnx.model.graphs import Scope, describe, scopes

#: Nodes that an error lists.
_LISTED = 12


def numbered_nodes(model: onnx.ModelProto) -> Iterator[tuple[int, Scope, onnx.NodeProto]]:
    """Yield every node with its number: the main graph's first, then those of bodies, functions."""
    number = 0
    for scope in scopes(model):
        for node in scope.graph.node:
            yield number, scope, node
            number += 1


def title(node: onnx.NodeProto, number: int) -> str:
    """Describe a node for messages; one without a name by its number, with its output."""
    return describe(node) if node.name else f"#{number} {describe(node)}"


def find_node(model: onnx.ModelProto, wanted: str) -> tuple[Scope, onnx.NodeProto]:
    """Return the node that has a name, an output, a number or an op_type.

    Errors:
        PK644: there is none, or several nodes have the name.
    """
    nodes = [*numbered_nodes(model)]
    digits = wanted.removeprefix("#")
    for found in (
        [one for one in nodes if one[2].name == wanted],
        [one for one in nodes if wanted in one[2].output],
        [one for one in nodes if digits.isdecimal() and one[0] == int(digits)],
        [one for one in nodes if one[2].op_type == wanted][:1],
    ):
        if len(found) > 1:
            numbers = ", ".join(f"#{number}" for number, _, _ in found)
            raise UsageError(
                "PK644",
                f"{len(found)} nodes are called '{wanted}'; expected one.",
                fix=f"name it by its number: one of {numbers}.",
            )
        if found and wanted:
            return found[0][1:]
    names = [name for _, _, node in nodes for name in (node.name, node.op_type) if name]
    near = difflib.get_close_matches(wanted, names, 1)
    listed = ", ".join(title(node, number) for number, _, node in nodes[:_LISTED])
    more = f" and {len(nodes) - _LISTED} more" if len(nodes) > _LISTED else ""
    raise UsageError(
        "PK644",
        f"the model has no node '{wanted}'; it has {listed or 'none'}{more}.",
        fix=f"did you mean '{near[0]}'?" if near else "give a node's name, output or number.",
    )
