"""Let loops that append to a sequence give what they append as an output that they collect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

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


class ScanSequences(GraphRewrite):
    """ConcatFromSequence(Loop(SequenceEmpty)) -> Transpose and Reshape of what the Loop collects.

    For a Loop whose body appends one tensor to the sequence each time, and does nothing else with
    it, as torch.jit.script writes a list that grows in a loop. Only joins may read the sequence.
    Where they join along an axis that the tensors have, its size must be the same each time: that
    is, known before the model runs. Where an If decides whether the body appends a tensor, which
    the body has either way, the Loop collects all of them and the conditions, for a Compress.
    """

    pattern = Op("ConcatFromSequence", Op("Loop", ...))
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
        joins: the positions of the nodes that join it.
    """

    loop: int
    at: int
    body: Scope
    append: _Append
    joins: tuple[int, ...]


@dataclass(frozen=True)
class _Collected:
    """What a Loop collects in place of a sequence.

    Attributes:
        rows: the tensors that its body appends or might, along the first axis.
        rank: the rank of each.
        flags: the conditions, one for each; empty if all are appended.
        is_negated: whether those are appended whose condition is false.
    """

    rows: str
    rank: int
    flags: str
    is_negated: bool


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
        start = index.producers.get(name)
        if start is None or not is_op(index.nodes[start], "SequenceEmpty"):
            continue
        given, grown = graph.input[2 + at].name, graph.output[1 + at].name
        is_private = inside.readers[given] == inside.readers[grown] + 1 == 1
        append = _append(inside, given, grown)
        if append is None or not is_private or given in inside.outputs:
            continue
        output = node.output[at]
        joins = tuple(
            number for number, each in enumerate(index.nodes) if output in names_read(each)
        )
        if output in index.outputs or not joins:
            continue
        if all(_joins(graphs, index.nodes[each], body, append) for each in joins):
            yield _Growing(position, at, body, append, joins)


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


def _joins(graphs: Graphs, node: onnx.NodeProto, body: Scope, append: _Append) -> bool:
    """Whether a node joins tensors that all have one shape along the axis, in a known place."""
    sizes = known_sizes(graphs.types.find(body, append.element))
    if sizes is None or not is_op(node, "ConcatFromSequence"):
        return False
    axis, is_new = _axis(node, len(sizes))
    if is_new:
        return 0 <= axis <= len(sizes)
    is_known = 0 <= axis < len(sizes) and sizes[axis] is not None
    return is_known and not append.condition


def _axis(node: onnx.NodeProto, rank: int) -> tuple[int, bool]:
    """Return the axis along which a node joins tensors of a rank, and whether it is a new one."""
    given = {each.name: each.i for each in node.attribute}
    is_new = bool(given.get("new_axis", 0))
    axis = given.get("axis", 0)
    return axis + (rank + is_new if axis < 0 else 0), is_new


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
    collected = _Collected(rows, rank, flags, append.is_negated)
    nodes = list(index.nodes)
    for position in reversed(found.joins):
        join = index.nodes[position]
        yield place_of(index.scope, join), ("Transpose", "Reshape")
        nodes[position : position + 1] = _joined(graphs, index.scope, join, collected)
    copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    read = set(output_names(index.scope.graph)).union(*map(names_read, copies))
    del index.scope.graph.node[:]
    index.scope.graph.node.extend(
        each for each in copies if not is_op(each, "SequenceEmpty") or each.output[0] in read
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


def _joined(
    graphs: Graphs, scope: Scope, join: onnx.NodeProto, given: _Collected
) -> list[onnx.NodeProto]:
    """Return the nodes that join rows, which lie along the first axis."""
    axis, is_new = _axis(join, given.rank)
    rows, made = given.rows, onnx.helper.make_node
    is_done = is_new and not given.flags
    moved = join.output[0] if is_done else graphs.names.new_value(f"{rows}_moved")
    perm = [*range(1, axis + 1), 0, *range(axis + 1, given.rank + 1)]
    nodes = [made("Transpose", [rows], [moved], join.name, perm=perm)]
    if given.flags:
        return [*nodes, *_compressed(graphs, scope, given, moved, axis, join.output[0])]
    if is_new:
        return nodes
    tail = _stored(scope, graphs, np.array([*[0] * axis, -1], np.int64))
    start, end = (_stored(scope, graphs, np.array([each])) for each in (axis + 2, given.rank + 1))
    shape, rest, target = (
        graphs.names.new_value(f"{rows}_{each}") for each in ("shape", "rest", "target")
    )
    return [
        *nodes,
        made("Shape", [moved], [shape], graphs.names.new_node(shape)),
        made("Slice", [shape, start, end], [rest], graphs.names.new_node(rest)),
        made("Concat", [tail, rest], [target], graphs.names.new_node(target), axis=0),
        made("Reshape", [moved, target], [join.output[0]], graphs.names.new_node(join.output[0])),
    ]


def _compressed(
    graphs: Graphs, scope: Scope, given: _Collected, value: str, axis: int, output: str
) -> list[onnx.NodeProto]:
    """Return the nodes that take along an axis what was appended."""
    made, flags = onnx.helper.make_node, graphs.names.new_value(f"{given.flags}_flat")
    shape = _stored(scope, graphs, np.array([-1]))
    nodes = [made("Reshape", [given.flags, shape], [flags], graphs.names.new_node(flags))]
    if given.is_negated:
        flat, flags = flags, graphs.names.new_value(f"{given.flags}_not")
        nodes.append(made("Not", [flat], [flags], graphs.names.new_node(flags)))
    label = graphs.names.new_node(output)
    return [*nodes, made("Compress", [value, flags], [output], label, axis=axis)]


def _stored(scope: Scope, graphs: Graphs, array: np.ndarray) -> str:
    tensor = onnx.numpy_helper.from_array(array, graphs.names.new_value("sizes"))
    scope.graph.initializer.append(tensor)
    return str(tensor.name)
