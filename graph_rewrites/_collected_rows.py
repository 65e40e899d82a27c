"""Join the rows that a Loop collects in the place of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.helper

from pluginkit.graph_rewrites._upstream import store_numbers
from pluginkit.onnx import Graphs, Scope


@dataclass(frozen=True)
class CollectedRows:
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


def join_axis(node: onnx.NodeProto, rank: int) -> tuple[int, bool]:
    """Return the axis along which a node joins tensors of a rank, and whether it is a new one."""
    given = {each.name: each.i for each in node.attribute}
    is_new = bool(given.get("new_axis", 0))
    axis = given.get("axis", 0)
    return axis + (rank + is_new if axis < 0 else 0), is_new


def joined_rows(
    graphs: Graphs, scope: Scope, join: onnx.NodeProto, given: CollectedRows
) -> list[onnx.NodeProto]:
    """Return the nodes that join rows, which lie along the first axis."""
    axis, is_new = join_axis(join, given.rank)
    rows, made = given.rows, onnx.helper.make_node
    is_done = is_new and not given.flags
    moved = join.output[0] if is_done else graphs.names.new_value(f"{rows}_moved")
    perm = [*range(1, axis + 1), 0, *range(axis + 1, given.rank + 1)]
    nodes = [made("Transpose", [rows], [moved], join.name, perm=perm)]
    if given.flags:
        return [*nodes, *_compressed(graphs, scope, given, moved, axis, join.output[0])]
    if is_new:
        return nodes
    tail = store_numbers(graphs, scope.graph, "sizes", [*[0] * axis, -1])
    start, end = (
        store_numbers(graphs, scope.graph, "sizes", [each]) for each in (axis + 2, given.rank + 1)
    )
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
    graphs: Graphs, scope: Scope, given: CollectedRows, value: str, axis: int, output: str
) -> list[onnx.NodeProto]:
    """Return the nodes that take along an axis what was appended."""
    made, flags = onnx.helper.make_node, graphs.names.new_value(f"{given.flags}_flat")
    shape = store_numbers(graphs, scope.graph, "sizes", [-1])
    nodes = [made("Reshape", [given.flags, shape], [flags], graphs.names.new_node(flags))]
    if given.is_negated:
        flat, flags = flags, graphs.names.new_value(f"{given.flags}_not")
        nodes.append(made("Not", [flat], [flags], graphs.names.new_node(flags)))
    label = graphs.names.new_node(output)
    return [*nodes, made("Compress", [value, flags], [output], label, axis=axis)]
