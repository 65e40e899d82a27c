"""Store the condition of a Loop that leaves it out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.numpy_helper

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, Scope, place_of


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
