"""Move nodes out of branches and bodies, with what they need, if they depend on nothing inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import (
    Nodes,
    Scope,
    bodies,
    defined_names,
    has_bodies,
    inner_scopes,
    is_op,
    main_and_bodies,
    names_read,
    place_of,
)
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs

#: Operators that compute something for every input of their types, and change nothing else. Others
#: may fail on inputs that a condition keeps from them.
_SAFE = frozenset(
    {
        *("Abs", "Add", "And", "Cast", "Ceil", "Constant", "Equal", "Exp", "Floor", "Greater"),
        *("GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Log", "Mul"),
        *("Neg", "Not", "Or", "ReduceMean", "ReduceSum", "Relu", "Round", "Shape", "Sigmoid"),
        *("Sign", "Size", "Sqrt", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where", "Xor"),
    }
)
#: Operators that may fail on sizes, but not on values.
_SAFE_ON_VALUES = _SAFE | {
    *("ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Cos"),
    *("CumSum", "Elu", "Erf", "Flatten", "Gelu", "Gemm", "GlobalAveragePool", "HardSigmoid"),
    *("LayerNormalization", "LeakyRelu", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min"),
    *("Pow", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMin", "ReduceProd", "Sin", "Slice"),
    *("Softmax", "Softplus", "Split", "Squeeze", "Tile"),
}
#: Whether a node is to be moved, by the node that has the body, the scope of the body and the node.
LiftedNode: TypeAlias = Callable[[onnx.NodeProto, Scope, onnx.NodeProto], bool]


def lift_nodes(graphs: Graphs, wanted: LiftedNode) -> list[Change]:
    """Move nodes out of bodies as far as they can go; return the changes.

    A node is moved if its inputs come from outside of the body, through safe operators, which are
    copied. An If that is moved out of a branch keeps the condition of that branch for one of its
    own; the nodes of the other must be safe.

    Args:
        graphs: the graphs, which are changed. Local functions are left.
        wanted: whether a node is to be moved.
    """
    changes: list[Change] = []
    for scope in reversed(list(main_and_bodies(graphs.model))):
        for owner, inner in list(inner_scopes(scope)):
            for branch, body in inner:
                changes += _lift_from(body, branch, scope, owner, wanted, graphs)
    return changes


def _lift_from(
    body: Scope,
    branch: str,
    outer: Scope,
    owner: onnx.NodeProto,
    wanted: LiftedNode,
    graphs: Graphs,
) -> list[Change]:
    graph, names = body.graph, graphs.names
    changes: list[Change] = []
    if not isinstance(graph, onnx.GraphProto) or not isinstance(outer.graph, onnx.GraphProto):
        return changes
    for node in [each for each in graph.node if wanted(owner, body, each)]:
        is_if = is_op(node, "If")
        safe = _safe_outside(owner, graphs) if is_if else _SAFE
        needed = _needed(graph, node, safe)
        guards = _guards(node, owner, branch, safe, names) if is_if else []
        if needed is None or guards is None:
            continue
        if guards:
            node.input[0] = guards[-1].output[0]
        renamed = _copy_out(graph, outer.graph, owner, [*needed, *guards, node], names)
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


def _guards(
    node: onnx.NodeProto,
    owner: onnx.NodeProto,
    branch: str,
    safe: frozenset[str],
    names: ModelNames,
) -> list[onnx.NodeProto] | None:
    """Return the nodes that make the condition of an If that leaves a branch of another.

    None if neither of its branches may run where that branch does not.
    """
    is_safe = {name: all(_is_safe(each, safe) for each in body.node) for name, body in bodies(node)}
    if all(is_safe.values()):
        return []
    if not is_op(owner, "If") or not any(is_safe.values()):
        return None
    # The unsafe branch runs only where the outer branch does.
    is_then = is_safe["else_branch"]
    condition, guards = owner.input[0], []
    if is_then != (branch == "then_branch"):
        other = names.new_value(f"not_{condition}")
        guards.append(onnx.helper.make_node("Not", [condition], [other], names.new_node(other)))
        condition = other
    both = names.new_value(f"{node.input[0]}_guarded")
    inputs = [condition, node.input[0]]
    op_type = "And" if is_then else "Or"
    return [*guards, onnx.helper.make_node(op_type, inputs, [both], names.new_node(both))]


def _is_safe(node: onnx.NodeProto, safe: frozenset[str]) -> bool:
    return node.op_type in safe and is_op(node, node.op_type)


def _safe_outside(owner: onnx.NodeProto, graphs: Graphs) -> frozenset[str]:
    """Return the operators that may run where no branch of an If that has them does.

    A condition that does not follow from sizes keeps no sizes from its branches.
    """
    if not is_op(owner, "If") or owner.input[0] in _values_from_sizes(graphs.model):
        return _SAFE
    return _SAFE_ON_VALUES


def _values_from_sizes(model: onnx.ModelProto) -> set[str]:
    """Return the names of the values that follow from sizes, also of those of bodies."""
    found: set[str] = set()
    for scope in main_and_bodies(model):
        for node in scope.graph.node:
            if node.op_type in ("Shape", "Size") or not found.isdisjoint(names_read(node)):
                found.update(node.output)
                found.update(each.name for _, body in bodies(node) for each in body.input)
    return found


def _needed(
    graph: onnx.GraphProto, node: onnx.NodeProto, safe: frozenset[str]
) -> list[onnx.NodeProto] | None:
    """Return the nodes of the body that a node needs, in order; None if it cannot be moved."""
    producers = {name: each for each in graph.node for name in each.output if name}
    stored = {tensor.name for tensor in graph.initializer}
    inside = defined_names(graph)
    found: dict[int, onnx.NodeProto] = {}
    waiting = list(names_read(node))
    while waiting:
        name = waiting.pop()
        if name not in inside or name in stored:
            continue
        producer = producers.get(name)
        if producer is None or not _is_safe(producer, safe):
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
    read = {name for node in nodes for name in names_read(node)}
    for tensor in graph.initializer:
        if tensor.name in read:
            renamed[tensor.name] = names.new_value(tensor.name)
            outer.initializer.add().CopyFrom(tensor)
            outer.initializer[-1].name = renamed[tensor.name]
    at = next(at for at, each in enumerate(outer.node) if each is owner)
    for number, node in enumerate(nodes):
        holder = onnx.GraphProto(node=[node])
        rename_reads(holder, renamed)
        copy = holder.node[0]
        for name in filter(None, node.output):
            renamed[name] = names.new_value(name)
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
