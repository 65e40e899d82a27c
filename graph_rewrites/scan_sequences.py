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
    dims_of,
    inner_scopes,
    is_op,
    names_read,
    output_names,
    place_of,
)


class ScanSequences(GraphRewrite):
    """ConcatFromSequence(Loop(SequenceEmpty)) -> Transpose and Reshape of what the Loop collects.

    For a Loop whose body appends one tensor to the sequence each time, and does nothing else with
    it, as torch.jit.script writes a list that grows in a loop. Only joins may read the sequence.
    Where they join along an axis that the tensors have, its size must be the same each time: that
    is, known before the model runs.
    """

    pattern = Op("ConcatFromSequence", Op("Loop", ...))
    order = -1

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        return _rewrite(graphs, scope)


@dataclass(frozen=True)
class _Growing:
    """A sequence that a Loop carries.

    Attributes:
        loop: the position of the Loop.
        at: its number among the carried values.
        body: the Loop's body.
        element: the value of the body that is appended.
        joins: the positions of the nodes that join it.
    """

    loop: int
    at: int
    body: Scope
    element: str
    joins: tuple[int, ...]


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
        made = inside.producers.get(grown)
        insert = None if made is None else inside.nodes[made]
        if insert is None or not is_op(insert, "SequenceInsert") or len(insert.input) > 2:
            continue
        is_private = inside.readers[given] == inside.readers[grown] + 1 == 1
        if insert.input[0] != given or not is_private or given in inside.outputs:
            continue
        output = node.output[at]
        joins = tuple(
            number for number, each in enumerate(index.nodes) if output in names_read(each)
        )
        if output in index.outputs or not joins:
            continue
        element = insert.input[1]
        if all(_joins(graphs, index.nodes[each], body, element) for each in joins):
            yield _Growing(position, at, body, element, joins)


def _joins(graphs: Graphs, node: onnx.NodeProto, body: Scope, element: str) -> bool:
    """Whether a node joins tensors that all have one shape along the axis, in a known place."""
    dims = dims_of(graphs.types.find(body, element))
    if dims is None or not is_op(node, "ConcatFromSequence"):
        return False
    axis, is_new = _axis(node, len(dims))
    if is_new:
        return 0 <= axis <= len(dims)
    return 0 <= axis < len(dims) and dims[axis].HasField("dim_value")


def _axis(node: onnx.NodeProto, rank: int) -> tuple[int, bool]:
    """Return the axis along which a node joins tensors of a rank, and whether it is a new one."""
    given = {each.name: each.i for each in node.attribute}
    is_new = bool(given.get("new_axis", 0))
    axis = given.get("axis", 0)
    return axis + (rank + is_new if axis < 0 else 0), is_new


def _collected(graphs: Graphs, index: GraphIndex, found: _Growing) -> Iterator[Change]:
    """Change a Loop and the nodes that join what it collects."""
    node, graph = index.nodes[found.loop], found.body.graph
    rank = len(dims_of(graphs.types.find(found.body, found.element)) or ())
    rows = graphs.names.new_value(f"{node.output[found.at]}_rows")
    yield place_of(index.scope, node), ("Loop",)
    _change_loop(graphs, node, graph, found, rows)
    nodes = list(index.nodes)
    for position in reversed(found.joins):
        join = index.nodes[position]
        yield place_of(index.scope, join), ("Transpose", "Reshape")
        nodes[position : position + 1] = _joined(graphs, index.scope, join, rows, rank)
    copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    read = set(output_names(index.scope.graph)).union(*map(names_read, copies))
    del index.scope.graph.node[:]
    index.scope.graph.node.extend(
        each for each in copies if not is_op(each, "SequenceEmpty") or each.output[0] in read
    )


def _change_loop(
    graphs: Graphs, node: onnx.NodeProto, graph: onnx.GraphProto, found: _Growing, rows: str
) -> None:
    carried = graph.output[1 + found.at].name
    insert = next(each for each in graph.node if carried in each.output)
    graph.node.remove(insert)
    del graph.output[1 + found.at]
    del graph.input[2 + found.at]
    del node.input[2 + found.at]
    del node.output[found.at]
    node.output.append(rows)
    row = graphs.names.new_value(f"{rows}_row")
    label = graphs.names.new_node(row)
    graph.node.append(onnx.helper.make_node("Identity", [found.element], [row], label))
    value = graph.output.add(name=row)
    value_type = graphs.types.find(found.body, found.element)
    if value_type is not None:
        value.type.CopyFrom(value_type)


def _joined(
    graphs: Graphs, scope: Scope, join: onnx.NodeProto, rows: str, rank: int
) -> list[onnx.NodeProto]:
    """Return the nodes that join rows, which lie along the first axis."""
    axis, is_new = _axis(join, rank)
    made = onnx.helper.make_node
    moved = join.output[0] if is_new else graphs.names.new_value(f"{rows}_moved")
    perm = [*range(1, axis + 1), 0, *range(axis + 1, rank + 1)]
    nodes = [made("Transpose", [rows], [moved], join.name, perm=perm)]
    if is_new:
        return nodes
    tail = _stored(scope, graphs, np.array([*[0] * axis, -1], np.int64))
    start, end = (_stored(scope, graphs, np.array([each])) for each in (axis + 2, rank + 1))
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


def _stored(scope: Scope, graphs: Graphs, array: np.ndarray) -> str:
    tensor = onnx.numpy_helper.from_array(array, graphs.names.new_value("sizes"))
    scope.graph.initializer.append(tensor)
    return str(tensor.name)
