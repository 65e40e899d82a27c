"""Leave out optional inputs that have no value and come last."""

from __future__ import annotations

import onnx

from pluginkit.onnx.model.graphs import is_op, scopes
from pluginkit.onnx.model.structure import find_schema


def drop_last_empty_inputs(model: onnx.ModelProto) -> None:
    """Remove empty names at the end of the inputs of ONNX's operators.

    Exporters write ``Conv(x, w, "")``, which means ``Conv(x, w)``. TensorRT's parser refuses it for
    some operators.
    """
    for scope in scopes(model):
        for node in scope.graph.node:
            if not node.input or node.input[-1] or not is_op(node, node.op_type):
                continue
            schema = find_schema(node.op_type, scope.opsets.get("", 1))
            least = len(node.input) if schema is None else schema.min_input
            while len(node.input) > least and not node.input[-1]:
                del node.input[-1]
