"""Find Ifs that only spare what follows an empty tensor, and do without them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from pluginkit.onnx.inference.value_types import Types, known_sizes
from pluginkit.onnx.model.graphs import (
    Scope,
    defined_names,
    has_bodies,
    inner_scopes,
    is_op,
    output_names,
    place_of,
    scopes,
)
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.scope_edit import set_nodes

#: Operators that make an empty output of an empty first input.
_OF_FIRST = frozenset(
    {
        *("Abs", "Cast", "Clip", "Exp", "Flatten", "Gather", "GatherElements", "GatherND"),
        *("Identity", "Log", "Neg", "NonMaxSuppression", "NonZero", "Reciprocal", "Relu"),
        *("Reshape", "Sigmoid", "Slice", "Softmax", "Sqrt", "Squeeze", "Transpose", "Unsqueeze"),
    }
)
#: Operators whose output is empty if any input is.
_OF_ANY = frozenset(
    {
        *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
        *("Max", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor"),
    }
)
#: Operators that keep a single number as it is, for a condition.
_SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def lift_empty_guards(graphs: Graphs) -> list[Change]:
    """Replace If(x has no element: an empty tensor, else f(x)) by f(x); return the changes.

    It is replaced only if f(x) is empty wherever x is.
    """
    return [change for scope in list(scopes(graphs.model)) for change in _lift(scope, graphs)]


def _lift(scope: Scope, graphs: Graphs) -> Iterator[Change]:
    index = GraphIndex(scope)
    inner = {id(node): dict(bodies) for node, bodies in inner_scopes(scope) if is_op(node, "If")}
    nodes: list[onnx.NodeProto] = []
    changes: list[Change] = []
    for node in index.nodes:
        branches = inner.get(id(node))
        branch = None if branches is None else _branch_for_both(index, node, branches, graphs.types)
        if branch is None:
            nodes.append(node)
            continue
        place = place_of(scope, node)
        lifted = _lifted(scope, node, branch, graphs)
        nodes += lifted
        changes.append((place, tuple(each.op_type for each in lifted)))
    if changes:
        set_nodes(scope, nodes)
    yield from changes


def _branch_for_both(
    index: GraphIndex, node: onnx.NodeProto, branches: dict[str, Scope], types: Types
) -> Scope | None:
    """Return the branch that does for both, or None if the If is no guard of an empty value."""
    found = _empty_value(index, node.input[0])
    if found is None or set(branches) != {"then_branch", "else_branch"}:
        return None
    value, is_then = found
    order = ("then_branch", "else_branch") if is_then else ("else_branch", "then_branch")
    of_empty, other = (branches[name] for name in order)
    graph = other.graph
    if not isinstance(graph, onnx.GraphProto) or any(map(has_bodies, graph.node)):
        return None
    if len(set(output_names(graph))) != len(graph.output) or graph.sparse_initializer:
        return None
    if graph.initializer and not isinstance(index.scope.graph, onnx.GraphProto):
        return None  # a local function stores no tensors
    made = {name for each in graph.node for name in each.output}
    empty = _empty_values(graph, value)
    pairs = zip(output_names(of_empty.graph), output_names(graph), strict=True)
    for stored, computed in pairs:
        shape = _stored_shape(of_empty, stored)
        if shape is None or computed not in made & empty:
            return None
        if not _fits(shape, types.find(other, computed)):
            return None
    return other


def _empty_value(index: GraphIndex, condition: str) -> tuple[str, bool] | None:
    """Return the value of whose size a condition is, and whether true means that it is empty."""
    is_empty = True
    node = _producer(index, condition)
    while node is not None and (node.op_type in _SAME or is_op(node, "Not")):
        is_empty ^= is_op(node, "Not")
        node = _producer(index, node.input[0])
    if node is None or not (is_op(node, "Equal") or is_op(node, "Greater")):
        return None
    is_empty ^= is_op(node, "Greater")
    counts = [name for name in node.input if not _is_zero(index, name)]
    if len(counts) != 1 or (is_op(node, "Greater") and counts[0] != node.input[0]):
        return None
    count = _producer(index, counts[0])
    while count is not None and count.op_type in _SAME:
        count = _producer(index, count.input[0])
    if count is not None and is_op(count, "Size"):
        return count.input[0], is_empty
    if count is None or not (is_op(count, "ReduceProd") or is_op(count, "Gather")):
        return None
    shape = _producer(index, count.input[0])
    if shape is None or not is_op(shape, "Shape"):
        return None
    return shape.input[0], is_empty


def _producer(index: GraphIndex, name: str) -> onnx.NodeProto | None:
    return index.nodes[index.producers[name]] if name in index.producers else None


def _is_zero(index: GraphIndex, name: str) -> bool:
    stored = index.array(name)
    return stored is not None and not stored.any()


def _empty_values(graph: onnx.GraphProto, value: str) -> set[str]:
    """Return the values of a branch that are empty if ``value`` is, and that value."""
    empty = {value}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        is_first = node.op_type in _OF_FIRST and node.input[0] in empty
        if is_first or (node.op_type in _OF_ANY and not empty.isdisjoint(node.input)):
            empty.update(node.output)
    return empty


def _stored_shape(scope: Scope, name: str) -> list[int] | None:
    """Return the shape of an empty tensor that the model stores; None for any other value."""
    stored = GraphIndex(scope).constant(name)
    return list(stored.dims) if stored is not None and 0 in stored.dims else None


def _fits(shape: list[int], value_type: onnx.TypeProto | None) -> bool:
    """Whether an empty value of a type has this shape, which has one zero."""
    known = known_sizes(value_type)
    return known is not None and [size or 0 for size in known] == shape


def _lifted(
    scope: Scope, node: onnx.NodeProto, branch: Scope, graphs: Graphs
) -> list[onnx.NodeProto]:
    """Copy a branch's nodes to its outer graph, under new names; return them."""
    names = graphs.names
    body = branch.graph
    new = {name: names.new_value(name) for name in sorted(defined_names(body) - {""})}
    new |= dict(zip(output_names(body), node.output, strict=True))
    for tensor in body.initializer:
        stored = scope.graph.initializer.add()
        stored.CopyFrom(tensor)
        stored.name = new[tensor.name]
    first = len(scope.graph.node)
    for each in body.node:
        added = scope.graph.node.add()
        added.CopyFrom(each)
        added.name = names.new_node(each.name)
        added.input[:] = [new.get(name, name) for name in each.input]
        added.output[:] = [new.get(name, name) for name in each.output]
    return list(scope.graph.node)[first:]
