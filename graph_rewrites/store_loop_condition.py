"""Store the condition of a Loop that leaves it out, and numbers that TensorRT takes."""

from __future__ import annotations

from collections.abc import Iterator

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
    is_op,
    is_unlimited,
    place_of,
    reads_number,
)

#: The least limit of a Loop that TensorRT's parser takes for none.
_LEAST_UNLIMITED = 2**31 - 1


class StoreLoopCondition(GraphRewrite):
    """Loop(count, , state) -> Loop(count, true, state).

    In ONNX a condition that is left out is true; TensorRT's parser refuses it: "Node input was not
    registered".
    """

    pattern = Op("Loop")
    order = -2

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        graph = scope.graph
        for node in graph.node if isinstance(graph, onnx.GraphProto) else ():
            is_loop = node.op_type == "Loop" and node.domain in ("", "ai.onnx")
            if not is_loop or len(node.input) < 2 or node.input[1]:
                continue
            node.input[1] = graphs.names.new_value(f"{place_of(scope, node)[1]}_condition")
            stored = onnx.numpy_helper.from_array(np.array(True), node.input[1])
            graph.initializer.append(stored)
            yield place_of(scope, node), ("Loop",)


class CountLoopRuns(GraphRewrite):
    """Loop(limit, condition, s; body(i, s)) -> Loop(limit, condition, s, 0; body(_, s, i)).

    TensorRT's parser has no number i of a Loop without a limit, or with one of 2^31 - 1 or more:
    "Node input was not registered". The body adds 1 to a state instead.
    """

    pattern = Op("Loop")
    order = 6  # after all that recognise loops

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        for node in index.nodes:
            if not is_op(node, "Loop") or not is_unlimited(index, node, _LEAST_UNLIMITED):
                continue
            ((_, body),) = bodies(node)
            if reads_number(body):
                start = _count_runs(node, body, graphs)
                constant = onnx.helper.make_node("Constant", [], [start.name], value=start)
                scope.graph.node.insert(0, constant)
                yield place_of(scope, node), ("Add", "Loop")
                return  # the driver asks again


def _count_runs(loop: onnx.NodeProto, body: onnx.GraphProto, graphs: Graphs) -> onnx.TensorProto:
    """Carry the number of the run as the last state; return what it begins with."""
    states, number = len(loop.input) - 2, body.input[0].name
    start, one, after, unread, last = (
        graphs.names.new_value(f"{number}_{kind}")
        for kind in ("start", "one", "after", "unread", "last")
    )
    shape = [each.dim_value for each in body.input[0].type.tensor_type.shape.dim]
    body.input[0].name = unread
    body.input.add(name=number).type.CopyFrom(body.input[0].type)
    body.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.int64), one))
    body.node.append(onnx.helper.make_node("Add", [number, one], [after]))
    results = [*body.output]
    counted = onnx.ValueInfoProto(name=after, type=body.input[0].type)
    outputs = [*results[: 1 + states], counted, *results[1 + states :]]
    copies = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in outputs]
    del body.output[:]
    body.output.extend(copies)
    loop.input.append(start)
    loop.output.insert(states, last)
    return onnx.numpy_helper.from_array(np.zeros(shape, np.int64), start)


class StoreLoopCount(GraphRewrite):
    """Loop(n, condition, state) -> Loop(0, condition, state), n stored and negative.

    ONNX runs such a Loop as often as one of 0. TensorRT takes n for the length of what the Loop
    collects, and refuses it: "axis 0 with inherently negative length".
    """

    pattern = Op("Loop")
    order = -2

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        for node in index.nodes:
            if not is_op(node, "Loop") or not node.input[0]:
                continue
            stored = index.constant(node.input[0])
            if stored is None or (onnx.numpy_helper.to_array(stored) >= 0).all():
                continue
            zero = onnx.numpy_helper.from_array(np.zeros(tuple(stored.dims), np.int64))
            node.input[0] = graphs.names.new_value(f"{node.input[0]}_zero")
            constant = onnx.helper.make_node("Constant", [], [node.input[0]], value=zero)
            scope.graph.node.insert(0, constant)
            yield place_of(scope, node), ("Loop",)
            return  # the driver asks again
