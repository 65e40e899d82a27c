"""Let ONNX Runtime's quantizer place QuantizeLinear and DequantizeLinear nodes in one scope."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import Scope, defined_names, names_read, output_names
from pluginkit.onnx.precision.scoped_values import ScopedValues
from pluginkit.onnx.rewriting.export_nodes import ModelNames

#: The operators whose inputs are quantized. TensorRT's engines have int8 for these.
QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: What ONNX Runtime's quantizer has to do otherwise than by default, so that TensorRT takes it.
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "QDQDisableWeightAdjustForInt32Bias": True,
    "OpTypesToExcludeOutputQuantization": list(QUANTIZED),
    "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
}


def quantize_scope(
    model: onnx.ModelProto,
    scope: Scope,
    ranges: Mapping[str, float],
    chosen: Collection[str],
    values: ScopedValues,
    names: ModelNames,
) -> None:
    """Quantize what some nodes of a scope read, in place.

    The quantizer gets these nodes alone: it knows no bodies, would give the quantized values to all
    their readers, and takes time for each pair of nodes.

    Args:
        model: the model.
        scope: the main graph or a body, whose nodes have names of their own.
        ranges: the ranges of values that are not stored.
        chosen: the names of the nodes.
        values: the values of the model.
        names: the names of the model.

    Errors:
        PK464: the quantizer fails.
    """
    graph = scope.graph
    nodes = {node.name: node for node in graph.node if node.name in chosen}
    made_here = {name for node in nodes.values() for name in node.output}
    read = sorted({name for node in nodes.values() for name in node.input if name})
    alone = onnx.ModelProto(ir_version=model.ir_version)
    alone.opset_import.extend(model.opset_import)
    alone.graph.name = "scope"
    alone.graph.node.extend(nodes.values())
    for name in read:
        stored, kind = values.constant(scope, name), values.type_of(scope, name)
        if stored is not None:
            alone.graph.initializer.add().CopyFrom(stored)
        elif kind is not None:
            described = alone.graph.value_info if name in made_here else alone.graph.input
            described.append(onnx.ValueInfoProto(name=name, type=kind))
    old = defined_names(alone.graph)
    made = _quantized(alone, {name: ranges[name] for name in read if name in ranges}, chosen).graph
    _rename(made, old, names)
    for node in made.node:
        if node.name in nodes:
            # The quantizer drops the beta of a Gemm, for which it would scale the bias.
            _replace(node.attribute, nodes[node.name].attribute)
    quantized = {node.name: node for node in made.node}
    others = [quantized.pop(node.name) if node.name in nodes else node for node in graph.node]
    _replace(graph.node, [*quantized.values(), *others])
    still = set(output_names(graph)).union(*map(names_read, graph.node))
    kept = [each for each in graph.initializer if each.name in still or each.name not in read]
    added = [each for each in made.initializer if each.name not in old]
    _replace(graph.initializer, [*kept, *added])


def _quantized(
    model: onnx.ModelProto, ranges: Mapping[str, float], chosen: Collection[str]
) -> onnx.ModelProto:
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    limits = {name: (np.float32(-size), np.float32(size)) for name, size in ranges.items()}
    try:
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=list(chosen),
            nodes_to_exclude=[],
            op_types_to_quantize=list(QUANTIZED),
            extra_options=_OPTIONS,
        )
        quantizer.quantize_model()
    except Exception as error:  # the quantizer raises anything
        raise ModelError(
            "PK464",
            "ONNX Runtime's quantizer refuses the model.",
            cause=f"{type(error).__name__}: {error}",
            fix="keep the node that it names with --keep, or update onnxruntime.",
        ) from error
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _rename(graph: onnx.GraphProto, old: set[str], names: ModelNames) -> None:
    """Give new values, and the nodes that make them, names that no other scope has."""
    new = sorted(defined_names(graph) - old - {""})
    renamed = {name: names.new_value(name) for name in new}
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if old.isdisjoint(node.output):
            node.name = names.new_node(node.name)
        node.output[:] = [renamed.get(name, name) for name in node.output]


def _replace(container: Any, items: Collection[Any]) -> None:
    copies = [type(each).FromString(each.SerializeToString()) for each in items]
    del container[:]
    container.extend(copies)
