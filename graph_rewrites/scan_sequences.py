"""Let loops that append to a sequence give what they append as an output that they collect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import onnx.helper

from pluginkit.graph_rewrites._collected_rows import CollectedRows, join_axis, joined_rows
from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    bodies,
    defined_names,
    inner_scopes,
    is_op,
    known_sizes,
    names_read,
    output_names,
    place_of,
    producer_of,
)

_CONSTRUCT = "SequenceConstruct"
_STARTS = ("SequenceEmpty", _CONSTRUCT)


class ScanSequences(GraphRewrite):
    """ConcatFromSequence(Loop(SequenceEmpty)) -> Transpose and Reshape of what the Loop collects.

    For a Loop whose body appends one tensor to the sequence each time, and does nothing else with
    it, as torch.jit.script writes a list that grows in a loop. Only joins may read the sequence.
    Where they join along an axis that the tensors have, its size must be the same each time: that
    is, known before the model runs. Where an If decides whether the body appends a tensor, which
    the body has either way, the Loop collects all of them and the conditions, for a Compress.
    Nodes that take single tensors, of one known shape, take them from a split of what is collected.
    The list may begin with some tensors, which are stacked with the others.
    """

    pattern = Op(("ConcatFromSequence", "SequenceAt"), Op("Loop", ...))
    order = -1

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        return _rewrite(graphs, scope)


@dataclass(frozen=True)
class _Append:
    """How a body makes a sequence longer.

    Attributes:
        element: the value that it appends.
        condition: the value of the body that decides whether it does; empty if it always does.
        is_negated: whether it appends where the condition is false.
    """

    element: str
    condition: str = ""
    is_negated: bool = False


@dataclass(frozen=True)
class _Growing:
    """A sequence that a Loop carries.

    Attributes:
        loop: the position of the Loop.
        at: its number among the carried values.
        body: the Loop's body.
        append: how the body makes it longer.
        start: the sequence at first, if it is not empty; else "".
        joins: the positions of the nodes that join it.
        is_taken_apart: whether other nodes take single tensors from it.
    """

    loop: int
    at: int
    body: Scope
    append: _Append
    start: str
    joins: tuple[int, ...]
    is_taken_apart: bool


def _rewrite(graphs: Graphs, scope: Scope) -> Iterator[Change]:
    index = GraphIndex(scope)
    inner = {id(node): found for node, found in inner_scopes(scope) if is_op(node, "Loop")}
    if not inner:
        return
    for position, node in enumerate(index.nodes):
        for _, body in inner.get(id(node), ()):
            found = next(_growing(graphs, index, position, body), None)
            if found is not None:
                yield from _collected(graphs, index, found)
                return  # the positions are no longer right; the driver asks again


def _growing(graphs: Graphs, index: GraphIndex, position: int, body: Scope) -> Iterator[_Growing]:
    node, graph = index.nodes[position], body.graph
    if not isinstance(graph, onnx.GraphProto):
        return
    inside = GraphIndex(body)
    for at, name in enumerate(node.input[2:]):
        made = index.producers.get(name)
        start = None if made is None else index.nodes[made]
        if start is None or not (is_op(start, "SequenceEmpty") or is_op(start, _CONSTRUCT)):
            continue
        given, grown = graph.input[2 + at].name, graph.output[1 + at].name
        is_private = inside.readers[given] == inside.readers[grown] + 1 == 1
        append = _append(inside, given, grown)
        if append is None or not is_private or given in inside.outputs:
            continue
        output = node.output[at]
        reads = [number for number, each in enumerate(index.nodes) if output in names_read(each)]
        joins = tuple(each for each in reads if is_op(index.nodes[each], "ConcatFromSequence"))
        takes = [index.nodes[each] for each in reads if each not in joins]
        if output in index.outputs or not reads:
            continue
        begins = name if is_op(start, _CONSTRUCT) else ""
        sizes = known_sizes(graphs.types.find(body, append.element))
        if takes and (append.condition or sizes is None or None in sizes):
            continue
        if not all(_takes_elements(each, output) for each in takes):
            continue
        if all(_joins(index.nodes[each], sizes, append, bool(begins)) for each in joins):
            yield _Growing(position, at, body, append, begins, joins, bool(takes))


def _takes_elements(node: onnx.NodeProto, sequence: str) -> bool:
    """Whether a node, or what is in its bodies, only takes single tensors of a sequence."""
    if is_op(node, "SequenceAt") or is_op(node, "SequenceLength"):
        return True
    inner = [each for _, body in bodies(node) for each in body.node if sequence in names_read(each)]
    given = {each.name for _, body in bodies(node) for each in body.output}
    if sequence in node.input or sequence in given:
        return False
    return all(_takes_elements(each, sequence) for each in inner)


def _append(inside: GraphIndex, given: str, grown: str) -> _Append | None:
    """Return how a body makes the grown sequence of the given one, None if in another way."""
    made = inside.producers.get(grown)
    if made is None:
        return None
    node = inside.nodes[made]
    if not is_op(node, "If"):
        return _Append(node.input[1]) if _inserts(node, given) else None
    at = list(node.output).index(grown)
    (_, first), (name, second) = bodies(node)
    for branch, other in ((first, second), (second, first)):
        insert, kept = (producer_of(each, each.output[at].name) for each in (branch, other))
        if insert is None or kept is None or not _inserts(insert, given):
            continue
        is_kept = is_op(kept, "Identity") and kept.input[0] == given
        if not (is_kept and _is_alone(branch, insert) and _is_alone(other, kept)):
            continue
        if insert.input[1] not in defined_names(branch):
            is_negated = (branch is second) == (name == "else_branch")
            return _Append(insert.input[1], node.input[0], is_negated)
    return None


def _is_alone(branch: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether nothing else in a branch reads the sequence that a node takes or the one it gives."""
    before, after = node.input[0], node.output[0]
    read = set[str]().union(*(names_read(each) for each in branch.node if each is not node))
    given = [each.name for each in branch.output if each.name in (before, after)]
    return read.isdisjoint((before, after)) and given == [after]


def _inserts(node: onnx.NodeProto, given: str) -> bool:
    """Whether a node appends to the given sequence."""
    return is_op(node, "SequenceInsert") and len(node.input) == 2 and node.input[0] == given


def _joins(
    node: onnx.NodeProto, sizes: list[int | None] | None, append: _Append, begins: bool
) -> bool:
    """Whether a node joins tensors that all have one shape along the axis, in a known place.

    Args:
        node: the ConcatFromSequence.
        sizes: of the tensors that are appended.
        append: how they are.
        begins: whether the sequence begins with other tensors.
    """
    if sizes is None:
        return False
    axis, is_new = join_axis(node, len(sizes))
    if is_new or begins:
        return is_new and 0 <= axis <= len(sizes) and not (begins and append.condition)
    is_known = 0 <= axis < len(sizes) and sizes[axis] is not None
    return is_known and not append.condition


def _collected(graphs: Graphs, index: GraphIndex, found: _Growing) -> Iterator[Change]:
    """Change a Loop and the nodes that join what it collects."""
    node, graph = index.nodes[found.loop], found.body.graph
    append = found.append
    rank = len(known_sizes(graphs.types.find(found.body, append.element)) or ())
    name = node.output[found.at]
    yield place_of(index.scope, node), ("Loop",)
    _remove_append(graph, found.at)
    del node.input[2 + found.at], node.output[found.at]
    rows, flags = graphs.names.new_value(f"{name}_rows"), ""
    _collect(graphs, node, found.body, append.element, rows)
    if append.condition:
        flags = graphs.names.new_value(f"{name}_flags")
        _collect(graphs, node, found.body, append.condition, flags)
    every, after = rows, list[onnx.NodeProto]()
    if found.start:
        front, every = (graphs.names.new_value(f"{name}_{each}") for each in ("front", "every"))
        stack = onnx.helper.make_node(
            "ConcatFromSequence", [found.start], [front], axis=0, new_axis=1
        )
        after = [stack, onnx.helper.make_node("Concat", [front, rows], [every], axis=0)]
    if found.is_taken_apart:
        split = onnx.helper.make_node("SplitToSequence", [every], [name], axis=0, keepdims=0)
        after.append(split)
    for each in after:
        each.name = graphs.names.new_node(f"{name}_{each.op_type}")
    collected = CollectedRows(every, rank, flags, append.is_negated)
    nodes = list(index.nodes)
    for position in reversed(found.joins):
        join = index.nodes[position]
        yield place_of(index.scope, join), ("Transpose", "Reshape")
        nodes[position : position + 1] = joined_rows(graphs, index.scope, join, collected)
    nodes[found.loop + 1 : found.loop + 1] = after
    copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    read = set(output_names(index.scope.graph)).union(*map(names_read, copies))
    del index.scope.graph.node[:]
    index.scope.graph.node.extend(
        each for each in copies if each.op_type not in _STARTS or each.output[0] in read
    )


def _remove_append(graph: onnx.GraphProto, at: int) -> None:
    """Remove a carried sequence from a body, and the node that makes it longer."""
    grown = graph.output[1 + at].name
    node = next(each for each in graph.node if grown in each.output)
    number = list(node.output).index(grown)
    for _, branch in bodies(node):
        made = producer_of(branch, branch.output[number].name)
        branch.node.remove(made)
        del branch.output[number]
    del node.output[number]
    if not node.output:
        graph.node.remove(node)
    del graph.output[1 + at], graph.input[2 + at]


def _collect(graphs: Graphs, node: onnx.NodeProto, body: Scope, name: str, rows: str) -> None:
    """Let a Loop collect a value of its body."""
    row = graphs.names.new_value(f"{rows}_row")
    label = graphs.names.new_node(row)
    body.graph.node.append(onnx.helper.make_node("Identity", [name], [row], label))
    value = body.graph.output.add(name=row)
    value_type = graphs.types.find(body, name)
    if value_type is not None:
        value.type.CopyFrom(value_type)
    node.output.append(rows)
