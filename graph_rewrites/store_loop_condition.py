"""Store the condition of a Loop that leaves it out, and a count that TensorRT takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx import Change, GraphIndex, GraphRewrite, Graphs, Op, Scope, is_op, place_of


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
