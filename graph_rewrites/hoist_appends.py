"""Compute what an If appends to a sequence in front of it, so that only the appending depends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import onnx
import onnx.helper
from onnx import TensorProto

from pluginkit.onnx import (
    FLOATS,
    BodyCopies,
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    axis_sizes,
    bodies,
    dtype_of_elem_type,
    inner_scopes,
    is_op,
    place_of,
    producer_of,
)

#: Operators that work for every shape and every number.
_UNARY = frozenset(
    {
        *("Abs", "Cast", "Ceil", "Constant", "Cos", "Elu", "Erf", "Exp", "Floor", "Identity"),
        *("LeakyRelu", "Log", "Neg", "Not", "Reciprocal", "Relu", "Round", "Shape", "Sigmoid"),
        *("Sign", "Sin", "Size", "Softplus", "Sqrt", "Tanh", "Transpose"),
    }
)
#: Operators that work for every number, or for all divisors but 0, if the shapes fit.
_ELEMENTWISE = frozenset(
    {
        *("Add", "And", "Clip", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
        *("Max", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor"),
    }
)
#: Operators that fail for some indices, whatever the shapes are.
_INDEXED = frozenset(
    {
        *("GatherElements", "GatherND", "Scatter", "ScatterElements", "ScatterND", "SequenceAt"),
        "TensorScatter",
    }
)


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
    only one, with both conditions. The index of a Gather becomes 0 where the condition is false,
    since it may be out of range there, unless the graph has a Gather with it anyway. Branches with
    other nodes that could fail there stay: those whose shapes are not known to fit, that divide
    integers by what is not stored, that index, or that have bodies.
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
            if _can_move(found, branch, graphs) and _is_scalar(graphs, scope, node.input[0]):
                yield place_of(scope, node), ("If",)
                _keep_in_range(graphs, branch, node.input[0], is_negated=found.is_negated)
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


def _can_move(found: _Appending, branch: Scope, graphs: Graphs) -> bool:
    """Whether there is something to compute in front of the If, and it cannot fail."""
    others = [each for each in found.branch.node if each is not found.last]
    is_nested = is_op(found.last, "If")
    index = GraphIndex(branch)
    return (bool(others) or is_nested) and all(_is_total(each, index, graphs) for each in others)


def _is_total(node: onnx.NodeProto, index: GraphIndex, graphs: Graphs) -> bool:
    """Whether a node works whatever the numbers are, but for the index of a Gather."""
    if not is_op(node, node.op_type) or any(bodies(node)) or node.op_type in _INDEXED:
        return False
    if node.op_type in _UNARY:
        return True
    if node.op_type in ("Div", "Mod") and index.constant(node.input[1]) is None:
        divisor = graphs.types.find(index.scope, node.input[1])
        if divisor is None or dtype_of_elem_type(divisor.tensor_type.elem_type) not in FLOATS:
            return False
    shapes = [_shape(graphs, index.scope, name) for name in (*node.input, *node.output) if name]
    if node.op_type == "Gather":
        return None not in shapes[:2]
    if node.op_type in _ELEMENTWISE and None not in shapes:
        axes = zip_longest(*(reversed(each) for each in shapes if each is not None), fillvalue=1)
        return all(len({*axis} - {1}) < 2 and None not in axis for axis in axes)
    return all(each is not None and all(isinstance(one, int) for one in each) for each in shapes)


def _shape(graphs: Graphs, scope: Scope, name: str) -> list[int | str | None] | None:
    return axis_sizes(graphs.types.find(scope, name))


def _is_scalar(graphs: Graphs, scope: Scope, name: str) -> bool:
    return _shape(graphs, scope, name) == []


def _keep_in_range(graphs: Graphs, branch: Scope, condition: str, *, is_negated: bool) -> None:
    """Let a branch's Gathers take the first element where the condition chooses the other one."""
    around = [] if branch.outer is None else branch.outer.graph.node
    done = [(each.input, each.attribute) for each in around if is_op(each, "Gather")]
    nodes: list[onnx.NodeProto] = []
    for node in branch.graph.node:
        if is_op(node, "Gather") and (node.input, node.attribute) not in done:
            index = node.input[1]
            found = graphs.types.find(branch, index)
            elem_type = TensorProto.INT64 if found is None else found.tensor_type.elem_type
            zero, node.input[1] = (graphs.names.new_value("first") for _ in range(2))
            value = onnx.helper.make_tensor(zero, elem_type, [], [0])
            choices = (zero, index) if is_negated else (index, zero)
            nodes.append(onnx.helper.make_node("Constant", [], [zero], value=value))
            nodes.append(onnx.helper.make_node("Where", [condition, *choices], [node.input[1]]))
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    del branch.graph.node[:]
    branch.graph.node.extend(nodes)


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
