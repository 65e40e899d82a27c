"""Find Ifs whose condition is known, and put the branch that is taken in their place."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.helper

from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import (
    Scope,
    has_bodies,
    inner_scopes,
    is_op,
    names_read,
    place_of,
    scopes,
)
from pluginkit.onnx.rewriting.body_copies import BodyCopies
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.known_values import KnownValues, overridable
from pluginkit.onnx.rewriting.scope_edit import set_nodes
from pluginkit.onnx.rewriting.unread_nodes import drop_unread


def take_known_branches(graphs: Graphs) -> list[Change]:
    """Replace each If whose condition is known by the nodes of its branch; return the changes.

    A condition is known if it follows from constants and shapes, for all the sizes that named
    dimensions can have. An If in a branch is looked at when the outer one has been replaced.
    """
    types = graphs.types_of_shapes()
    roots = [each for each in scopes(graphs.model) if each.outer is None]
    return [change for root in roots for change in _take(root, None, types, graphs)]


def _take(
    scope: Scope, outer: KnownValues | None, types: Types, graphs: Graphs
) -> Iterator[Change]:
    inner = list(inner_scopes(scope))
    if not inner:
        return
    index = GraphIndex(scope)
    stored = overridable(index, graphs.model.ir_version)
    values = KnownValues(index, types, outer, graphs.extents, stored)
    taken = {
        id(node): body
        for node, bodies in inner
        if is_op(node, "If") and (body := _branch(node, dict(bodies), values)) is not None
    }
    for node, bodies in inner:
        for _, inside in () if id(node) in taken else bodies:
            yield from _take(inside, values, types, graphs)
    if not taken:
        return
    before = index.readers.copy()
    nodes: list[onnx.NodeProto] = []
    for node in index.nodes:
        if id(node) not in taken:
            nodes.append(node)
            continue
        place = place_of(scope, node)
        made = _nodes_of(taken[id(node)], node, scope, graphs)
        first = len(scope.graph.node)
        scope.graph.node.extend(made)
        nodes += list(scope.graph.node)[first:]
        yield place, tuple(dict.fromkeys(each.op_type for each in made))
    set_nodes(scope, nodes)
    drop_unread(scope, before)


def _branch(
    node: onnx.NodeProto, branches: dict[str, Scope], values: KnownValues
) -> onnx.GraphProto | None:
    """Return the branch that an If takes; None if that is not known before it runs."""
    condition = values.compute_for(node.input[0]) if node.input else None
    if condition is None or not condition.is_exact or condition.low.size != 1:
        return None
    taken = branches.get("then_branch" if condition.low.item() else "else_branch")
    if taken is None or not isinstance(taken.graph, onnx.GraphProto):
        return None
    is_whole = len(taken.graph.output) == len(node.output) and not taken.graph.sparse_initializer
    return taken.graph if is_whole else None


def _nodes_of(
    branch: onnx.GraphProto, node: onnx.NodeProto, scope: Scope, graphs: Graphs
) -> list[onnx.NodeProto]:
    """Return copies of a branch's nodes, which make the outputs of the If."""
    copies = BodyCopies(graphs, scope.graph)
    nodes, outputs = copies.copy(branch, {})
    made = {name: each for each in nodes for name in each.output}
    renamed: dict[str, str] = {}
    for name, output in zip(outputs, node.output, strict=True):
        is_free = name in made and name not in renamed and not _is_captured(nodes, name)
        if not output:
            continue
        if is_free:
            renamed[name] = output
            continue
        label = graphs.names.new_node(f"{output}_copy")
        nodes.append(onnx.helper.make_node("Identity", [name], [output], label))
    for each in nodes:
        each.input[:] = [renamed.get(name, name) for name in each.input]
        each.output[:] = [renamed.get(name, name) for name in each.output]
    return nodes


def _is_captured(nodes: list[onnx.NodeProto], name: str) -> bool:
    """Whether the body of a node reads a value from around it."""
    return any(has_bodies(node) and name in names_read(node) - set(node.input) for node in nodes)
