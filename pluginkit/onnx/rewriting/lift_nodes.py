"""Move nodes out of branches and bodies, with what they need, if they depend on nothing inside."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from pluginkit.onnx.model.graphs import (
    Nodes,
    Scope,
    bodies,
    defined_names,
    has_bodies,
    inner_scopes,
    main_and_bodies,
    place_of,
)
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs

#: Operators that compute something for every input of their types, and change nothing else. Others
#: may fail on inputs that a condition keeps from them.
_SAFE = frozenset(
    {
        *("Abs", "And", "Cast", "Ceil", "Constant", "Equal", "Exp", "Floor", "Greater"),
        *("GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Neg", "Not"),
        *("Or", "Relu", "Round", "Shape", "Sigmoid", "Sign", "Size", "Tanh", "Transpose"),
        *("Unsqueeze", "Xor"),
    }
)


def lift_nodes(graphs: Graphs, wanted: Callable[[onnx.NodeProto], bool]) -> list[Change]:
    """Move nodes out of bodies as far as they can go; return the changes.

    A node is moved if its inputs come from outside of the body, through safe operators, which are
    copied.

    Args:
        graphs: the graphs, which are changed. Local functions are left.
        wanted: whether a node is to be moved.
    """
    changes: list[Change] = []
    for scope in reversed(list(main_and_bodies(graphs.model))):
        for owner, inner in list(inner_scopes(scope)):
            for _, body in inner:
                changes += _lift_from(body, scope, owner, wanted, graphs.names)
    return changes


def _lift_from(
    body: Scope,
    outer: Scope,
    owner: onnx.NodeProto,
    wanted: Callable[[onnx.NodeProto], bool],
    names: ModelNames,
) -> list[Change]:
    graph = body.graph
    changes: list[Change] = []
    if not isinstance(graph, onnx.GraphProto) or not isinstance(outer.graph, onnx.GraphProto):
        return changes
    for node in [each for each in graph.node if wanted(each)]:
        needed = _needed(graph, node)
        if needed is None:
            continue
        renamed = _copy_out(graph, outer.graph, owner, [*needed, node], names)
        place = place_of(body, node)
        moved = {name: renamed[name] for name in node.output if name}
        graph.node.remove(node)
        rename_reads(graph, moved)
        for value in graph.output:  # which a node of the body must make
            if value.name in moved:
                label = names.new_node(f"{value.name}_copy")
                graph.node.add(
                    op_type="Identity", name=label, input=[moved[value.name]], output=[value.name]
                )
        changes.append((place, (node.op_type,)))
    return changes


def _needed(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    """Return the nodes of the body that a node needs, in order; None if it cannot be moved."""
    producers = {name: each for each in graph.node for name in each.output if name}
    stored = {tensor.name for tensor in graph.initializer}
    inside = defined_names(graph)
    found: dict[int, onnx.NodeProto] = {}
    waiting = [name for name in node.input if name]
    while waiting:
        name = waiting.pop()
        if name not in inside or name in stored:
            continue
        producer = producers.get(name)
        is_safe = producer is not None and producer.domain in ("", "ai.onnx")
        if producer is None or not is_safe or producer.op_type not in _SAFE or has_bodies(producer):
            return None
        if id(producer) not in found:
            found[id(producer)] = producer
            waiting += [each for each in producer.input if each]
    return [each for each in graph.node if id(each) in found]


def _copy_out(
    graph: onnx.GraphProto,
    outer: onnx.GraphProto,
    owner: onnx.NodeProto,
    nodes: list[onnx.NodeProto],
    names: ModelNames,
) -> dict[str, str]:
    """Copy nodes and what is stored for them in front of the body's node; return the new names."""
    renamed: dict[str, str] = {}
    read = {name for node in nodes for name in node.input}
    for tensor in graph.initializer:
        if tensor.name in read:
            renamed[tensor.name] = names.new_value(tensor.name)
            outer.initializer.add().CopyFrom(tensor)
            outer.initializer[-1].name = renamed[tensor.name]
    at = next(at for at, each in enumerate(outer.node) if each is owner)
    for number, node in enumerate(nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for name in filter(None, node.output):
            renamed[name] = names.new_value(name)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        copy.name = names.new_node(node.name) if node.name else ""
        outer.node.insert(at + number, copy)
    return renamed


def rename_reads(graph: Nodes, renamed: dict[str, str]) -> None:
    """Let the nodes of a graph, and of the bodies inside, read other names."""
    for node in graph.node:
        if not renamed.keys().isdisjoint(node.input):
            node.input[:] = [renamed.get(name, name) for name in node.input]
        for _, body in bodies(node) if has_bodies(node) else ():
            own = defined_names(body)
            left = {name: new for name, new in renamed.items() if name not in own}
            rename_reads(body, left)
