"""Find the tensors that a graph stores: initializers, and the values of Constant nodes."""

from __future__ import annotations

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import Nodes, is_op

#: The data type of a Constant node's value, by the attribute that holds it.
_TENSOR_TYPES = {
    "value_float": onnx.TensorProto.FLOAT,
    "value_floats": onnx.TensorProto.FLOAT,
    "value_int": onnx.TensorProto.INT64,
    "value_ints": onnx.TensorProto.INT64,
}


def stored_tensors(graph: Nodes) -> dict[str, onnx.TensorProto]:
    """Return the tensors that a graph itself stores, without those of its bodies, by name."""
    is_graph = isinstance(graph, onnx.GraphProto)
    found = {each.name: each for each in graph.initializer} if is_graph else {}
    for node in graph.node:
        value = constant_tensor(node) if is_op(node, "Constant") else None
        if value is not None:
            found[node.output[0]] = value
    return found


def constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return the value of a Constant node; None for strings and sparse tensors."""
    attribute = next(iter(node.attribute), None)
    if attribute is None or attribute.ref_attr_name:
        return None
    if attribute.type == onnx.AttributeProto.TENSOR:
        tensor: onnx.TensorProto = attribute.t
        return tensor
    if attribute.name not in _TENSOR_TYPES:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    values, dims = (value, [len(value)]) if attribute.name.endswith("s") else ([value], [])
    return onnx.helper.make_tensor(node.output[0], _TENSOR_TYPES[attribute.name], dims, values)
