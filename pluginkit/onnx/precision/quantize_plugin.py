"""Give plugins quantized numbers where they say what int8 means to them.

``Input("T", scale="x_scale")`` says that a number q of the input stands for q * x_scale, an
attribute. A QuantizeLinear node is put before such an input and a DequantizeLinear node behind such
an output, and the attributes get the scales: TensorRT tells a plugin none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.contract.calls import present_ports
from pluginkit.contract.dtypes import int8
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PluginkitError
from pluginkit.onnx.inference.infer_types import plugin_output_types
from pluginkit.onnx.model.graphs import Scope
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.precision.scoped_values import ScopedValues
from pluginkit.onnx.rewriting.export_nodes import ModelNames

_STEPS = 127


@dataclass(frozen=True)
class QuantizedPorts:
    """The positions of a plugin node's inputs and outputs that become int8, with their scales.

    Attributes:
        inputs, outputs: the attribute that holds the scale, by position.
    """

    inputs: Mapping[int, str]
    outputs: Mapping[int, str]

    def names(self, node: onnx.NodeProto) -> list[str]:
        """Return the names of the values whose ranges are needed."""
        read = [node.input[at] for at in self.inputs]
        return [*read, *(node.output[at] for at in self.outputs)]


def quantized_ports(
    plugin: Plugin, scope: Scope, node: onnx.NodeProto, values: ScopedValues
) -> QuantizedPorts | str:
    """Return what of a plugin node becomes int8, or why nothing does."""
    ports = present_ports(plugin)
    if not any(int8 in port.dtypes for port in ports):
        return "its plugin takes no int8"
    inputs = {
        at: port.scale
        for at, (port, name) in enumerate(zip(ports, node.input, strict=True))
        if port.scale and values.is_float32(scope, name)
    }
    if not inputs:
        return "its plugin declares no scale for int8"
    types = [values.type_of(scope, name) for name in node.input]
    for at in inputs:
        changed = onnx.TypeProto()
        changed.CopyFrom(types[at] or changed)
        changed.tensor_type.elem_type = onnx.TensorProto.INT8
        types[at] = changed
    try:
        made = plugin_output_types(plugin, types)
    except PluginkitError:
        return "its plugin does not take int8 with these inputs"
    outputs = {
        at: port.scale
        for at, (port, kind) in enumerate(zip(plugin.spec.outputs, made, strict=True))
        if kind is not None
        and kind.tensor_type.elem_type == onnx.TensorProto.INT8
        and values.is_float32(scope, node.output[at])
    }
    if not all(outputs.values()):
        return "its plugin declares no scale for an output of int8"
    return QuantizedPorts(inputs, outputs)


def quantize_plugin(
    plugin: Plugin,
    node: onnx.NodeProto,
    ports: QuantizedPorts,
    range_of: Callable[[str], float],
    names: ModelNames,
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes that take a plugin node's place, and what they store.

    Args:
        plugin: the node's plugin.
        node: the node.
        ports: what of it becomes int8.
        range_of: returns the range of a value.
        names: the names of the model.
    """
    sizes: dict[str, float] = {}
    for at, attribute in ports.inputs.items():
        sizes[attribute] = max(sizes.get(attribute, 0.0), range_of(node.input[at]))
    for at, attribute in ports.outputs.items():
        sizes[attribute] = max(sizes.get(attribute, 0.0), range_of(node.output[at]))
    scales = {name: np.float32((size or 1.0) / _STEPS) for name, size in sizes.items()}
    stored, constants = [], {}
    for attribute, scale in scales.items():
        constants[attribute] = names.new_value(f"{node.output[0]}_{attribute}")
        stored.append(onnx.numpy_helper.from_array(np.asarray(scale), constants[attribute]))
    zero = names.new_value(f"{node.output[0]}_zero_point")
    stored.append(onnx.numpy_helper.from_array(np.zeros((), np.int8), zero))

    def convert(op_type: str, given: str, made: str, attribute: str) -> onnx.NodeProto:
        label = names.new_node(f"{made}_{op_type}")
        inputs = [given, constants[attribute], zero]
        return onnx.helper.make_node(op_type, inputs, [made], name=label)

    inputs, outputs = list(node.input), list(node.output)
    before, after = [], []
    for at, attribute in ports.inputs.items():
        inputs[at] = names.new_value(f"{node.input[at]}_quantized")
        before.append(convert("QuantizeLinear", node.input[at], inputs[at], attribute))
    for at, attribute in ports.outputs.items():
        outputs[at] = names.new_value(f"{node.output[at]}_quantized")
        after.append(convert("DequantizeLinear", outputs[at], node.output[at], attribute))
    attributes = {**plugin.attribute_values, **{name: float(each) for name, each in scales.items()}}
    present = [port.name for port in present_ports(plugin)]
    scaled = type(plugin)(**attributes).with_inputs(*present)
    made = plugin_node(scaled, inputs, outputs, node.name)
    return [*before, made, *after], stored
