"""Let every output of a body come from a node of the body."""

from __future__ import annotations

import onnx

from pluginkit.onnx.model.graphs import defined_names, scopes
from pluginkit.onnx.rewriting.export_nodes import ModelNames


def copy_passed_through(model: onnx.ModelProto) -> None:
    """Put an Identity where a body gives a value of an outer graph as its output.

    Exporters write such bodies and TensorRT takes them, but ONNX does not allow them.
    """
    names: ModelNames | None = None
    for scope in scopes(model):
        body = scope.graph
        if scope.outer is None or not isinstance(body, onnx.GraphProto):
            continue
        defined = defined_names(body)
        for value in body.output:
            if value.name in defined:
                continue
            names = names or ModelNames(model)
            copy = names.new_value(value.name)
            label = names.new_node(f"{copy}_copy")
            body.node.add(op_type="Identity", name=label, input=[value.name], output=[copy])
            value.name = copy
