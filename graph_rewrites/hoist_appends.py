"""Compute what an If appends to a sequence in front of it, so that only the appending depends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import onnx.helper

from pluginkit.onnx import (
    FLOATS,
    BodyCopies,
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    bodies,
    dtype_of_elem_type,
    inner_scopes,
    is_op,
    place_of,
    producer_of,
)

#: Nodes that fail where an index is out of range, as it may be where the condition is false.
_INDEXED = frozenset({"Gather", "GatherElements", "GatherND", "SequenceAt"})


@dataclass(frozen=True)
class _Appending:
    """An If that makes a sequence longer, or keeps it.

    Attributes:
        sequence: the sequence before.
        branch: the branch that makes it longer.
        last: the node of the branch that does.
        is_negated: whether that is the else_branch.
    """

    sequence: str
    branch: onnx.GraphProto
    last: onnx.NodeProto
    is_negated: bool


class HoistAppends(GraphRewrite):
    """If(c, SequenceInsert(s, f(x)), s) -> f(x), If(c, SequenceInsert(s, f), s).

    So that ScanSequences takes the loop. An If inside the branch that does the same becomes the
    only one, with both conditions. Nodes that could fail where the condition is false stay: those
    with an index that the branch computes, and quotients of integers by a divisor that is not
    stored. So do nodes with bodies. An index that is computed before the If must be in range.
    """

    pattern = Op("If", ...)
    order = -2

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        graph = scope.graph
        if not isinstance(graph, onnx.GraphProto):
            return
        every = list(graph.node)  # while they are held, their ids stay the same
        inner = {id(node): dict(found) for node, found in inner_scopes(scope)}
        for position, node in enumerate(every):
            found = _appending(node)
            if found is None:
                continue
            branch = inner[id(node)]["else_branch" if found.is_negated else "then_branch"]
            if _can_move(found) and not _divides_integers(branch, graphs):
                yield place_of(scope, node), ("If",)
                made = _hoisted(graphs, graph, node, found)
                nodes = [*graph.node[:position], *made, *graph.node[position + 1 :]]
                copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
                del graph.node[:]
                graph.node.extend(copies)
                return  # the driver asks again


def _appending(node: onnx.NodeProto) -> _Appending | None:
    if not is_op(node, "If") or len(node.output) != 1:
        return None
    branches = dict(bodies(node))
    for name, other in (("then_branch", "else_branch"), ("else_branch", "then_branch")):
        if name not in branches or other not in branches:
            return None
        last, kept = (
            producer_of(branches[each], branches[each].output[0].name) for each in (name, other)
        )
        if last is None or kept is None or not is_op(kept, "Identity"):
            continue
        sequence, is_negated = kept.input[0], name == "else_branch"
        if is_op(last, "SequenceInsert") and len(last.input) == 2 and last.input[0] == sequence:
            return _Appending(sequence, branches[name], last, is_negated)
        inner = _appending(last)
        if inner is not None and inner.sequence == sequence:
            return _Appending(sequence, branches[name], last, is_negated)
    return None


def _can_move(found: _Appending) -> bool:
    """Whether there is something to compute in front of the If, and it cannot fail."""
    others = [each for each in found.branch.node if each is not found.last]
    made = {name for each in others if not is_op(each, "Constant") for name in each.output}
    is_nested = is_op(found.last, "If")
    return (bool(others) or is_nested) and not any(
        any(bodies(each)) or (each.op_type in _INDEXED and each.input[1] in made) for each in others
    )


def _divides_integers(branch: Scope, graphs: Graphs) -> bool:
    """Whether a branch divides integers by what may be zero where the condition is false."""
    index = GraphIndex(branch)
    divisors = [each.input[1] for each in index.nodes if each.op_type in ("Div", "Mod")]
    types = [graphs.types.find(branch, each) for each in divisors if index.constant(each) is None]
    return any(
        each is None or dtype_of_elem_type(each.tensor_type.elem_type) not in FLOATS
        for each in types
    )


def _hoisted(
    graphs: Graphs, graph: onnx.GraphProto, node: onnx.NodeProto, found: _Appending
) -> list[onnx.NodeProto]:
    """Return the branch's nodes, and an If around the last one."""
    copied, (output,) = BodyCopies(graphs, graph).copy(found.branch, {})
    last = next(each for each in copied if output in each.output)
    made = [each for each in copied if each is not last]
    if not is_op(last, "If"):
        del found.branch.node[:], found.branch.initializer[:]
        found.branch.node.append(last)
        found.branch.output[0].name = output
        return [*made, node]
    inner = _appending(last)
    conditions = [node.input[0], last.input[0]]
    for at, is_negated in enumerate((found.is_negated, inner is not None and inner.is_negated)):
        if is_negated:
            made.append(_logic(graphs, "Not", conditions[at : at + 1]))
            conditions[at] = made[-1].output[0]
    made.append(_logic(graphs, "And", conditions))
    if inner is not None and inner.is_negated:
        for attribute in last.attribute:
            is_then = attribute.name == "then_branch"
            attribute.name = "else_branch" if is_then else "then_branch"
    last.input[0], last.output[0] = made[-1].output[0], node.output[0]
    return [*made, last]


def _logic(graphs: Graphs, op_type: str, inputs: list[str]) -> onnx.NodeProto:
    output = graphs.names.new_value("appends")
    return onnx.helper.make_node(op_type, inputs, [output], graphs.names.new_node(output))
