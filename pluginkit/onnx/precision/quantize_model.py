"""Quantize a model to int8 with explicit QuantizeLinear and DequantizeLinear nodes.

ONNX Runtime's quantizer places them: before convolutions and matrix products, symmetric, with a
scale for each channel of a weight. It gets ranges that pluginkit measures, because ONNX Runtime
cannot run plugin nodes; those stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.external_data_helper

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    signature_of,
)
from pluginkit.onnx.model.graphs import (
    MAIN_GRAPH,
    describe,
    names_read,
    output_names,
    scopes,
    sorted_nodes,
)
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.model.weightless_model import skeleton_for_checker
from pluginkit.onnx.precision.precision_options import (
    Array,
    KeptNode,
    OutputLoss,
    PrecisionReport,
    Quantization,
    check_names,
    check_opset,
)
from pluginkit.onnx.precision.tensor_ranges import measured_ranges
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.scope_edit import set_nodes
from pluginkit.onnx.running.run_model import run_model

#: The operators whose inputs are quantized. TensorRT's engines have int8 for these.
_QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: What ONNX Runtime's quantizer has to do otherwise than by default, so that TensorRT takes it.
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": list(_QUANTIZED),
    "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
}
#: The first opset in which a weight has a scale for each channel.
_PER_CHANNEL = 13


def quantize_model(
    model: onnx.ModelProto, quantization: Quantization, plugins: Plugins, folder: Path
) -> PrecisionReport:
    """Quantize a model in place, check it, and measure the loss on the given inputs.

    Weights in external files are read, since they become others.

    Args:
        model: the model, rewritten. Local functions are inlined.
        quantization: the ranges, or inputs to measure them on, and what stays in float32.
        plugins: the plugins, by registry key.
        folder: the folder of the model's external data.

    Errors:
        PK460: a name keeps nothing.  PK462: there are no ranges, or nothing to quantize.
        PK463: the opset is too old.  PK464: the quantizer fails.  PK423: the result is invalid.
        PK440, PK441: it does not run.
    """
    if model.functions:
        model.CopyFrom(inline_functions(model))
    check_opset(model, "int8 with a scale for each channel", _PER_CHANNEL)
    nodes = [node for scope in scopes(model) for node in scope.graph.node]
    check_names(quantization, nodes)
    onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    _store_constants(model)
    _name_nodes(model)
    complete_value_info(model, infer_types(model), plugins)
    before = onnx.ModelProto()
    before.CopyFrom(model)
    ranges = _ranges(model, quantization, plugins, folder)
    report = PrecisionReport("int8")
    chosen = list(_chosen(model, quantization, ranges, plugins, report))
    if not chosen:
        raise UsageError(
            "PK462",
            f"there is nothing to quantize: no {', '.join(_QUANTIZED)} of the main graph has the "
            "ranges of its inputs.",
            fix="give inputs with --calibrate, or ranges of these values with --ranges.",
        )
    original = skeleton_for_checker(model)
    model.CopyFrom(_with_qdq(model, ranges, chosen))
    for scope in scopes(model):
        set_nodes(scope, sorted_nodes(scope) or list(scope.graph.node))
    check_rewritten(signature_of(model.graph), original, model)
    report.converted = len(chosen)
    report.casts = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    report.losses = _losses(before, model, quantization.inputs, plugins, folder)
    return report


def _store_constants(model: onnx.ModelProto) -> None:
    """Make initializers of Constant nodes that are weights: only of these is int8 stored."""
    main = next(scopes(model))
    index = GraphIndex(main)
    read = {name for node in index.nodes if node.op_type in _QUANTIZED for name in node.input}
    stored = {name: index.constant(name) for name in read if name in index.producers}
    for name, tensor in stored.items():
        if tensor is not None:
            model.graph.initializer.add().CopyFrom(tensor)
            model.graph.initializer[-1].name = name
    gone = {name for name, tensor in stored.items() if tensor is not None}
    set_nodes(main, [node for node in index.nodes if gone.isdisjoint(node.output)])


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give every node of the main graph a name of its own; the quantizer tells nodes by them."""
    names, seen = ModelNames(model), set()
    for node in model.graph.node:
        if not node.name or node.name in seen:
            node.name = names.new_node(f"{node.op_type}_{node.output[0]}")
        seen.add(node.name)


def _ranges(
    model: onnx.ModelProto, quantization: Quantization, plugins: Plugins, folder: Path
) -> dict[str, float]:
    """Return the ranges that are given, and measure the others that are needed."""
    main, types, index = next(scopes(model)), infer_types(model), GraphIndex(next(scopes(model)))
    given = dict(quantization.ranges or {})
    needed = {
        name
        for node in model.graph.node
        if node.op_type in _QUANTIZED
        for name in node.input[:2]
        if index.constant(name) is None
        and (found := types.find(main, name)) is not None
        and found.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    missing = sorted(needed - given.keys())
    return {**measured_ranges(model, missing, plugins, folder, quantization.inputs), **given}


def _chosen(
    model: onnx.ModelProto,
    quantization: Quantization,
    ranges: Mapping[str, float],
    plugins: Plugins,
    report: PrecisionReport,
) -> Iterator[str]:
    """Yield the names of the nodes to quantize, and note why the others stay."""
    index = GraphIndex(next(scopes(model)))
    for scope in scopes(model):
        for node in scope.graph.node:
            is_plugin = plugin_of_node(node, plugins) is not None
            if node.op_type not in _QUANTIZED and not is_plugin:
                continue
            name = quantization.named(node)
            unknown = [
                each
                for each in node.input[:2]
                if each and each not in ranges and index.constant(each) is None
            ]
            if is_plugin:
                reason = "a plugin"
            elif scope.path != MAIN_GRAPH:
                reason = "inside a body"
            elif name is not None:
                reason = f"kept by '{name}'"
            elif unknown:
                reason = f"no range of '{unknown[0]}'"
            else:
                yield node.name
                continue
            report.kept.append(KeptNode(describe(node), scope.path, reason))


def _with_qdq(
    model: onnx.ModelProto, ranges: Mapping[str, float], nodes: Sequence[str]
) -> onnx.ModelProto:
    """Return the model with the nodes' inputs quantized.

    The quantizer would give the quantized values to all their readers, and to the model's outputs;
    those that are not to be quantized keep what they read.

    Errors:
        PK464: the quantizer fails.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    whole = onnx.shape_inference.infer_shapes(model)  # the quantizer reads types from value_info
    del whole.graph.output[:]
    imported = {each.domain: each for each in model.opset_import}  # some exporters repeat one
    del whole.opset_import[:]
    whole.opset_import.extend(imported.values())
    limits = {name: (np.float32(-size), np.float32(size)) for name, size in ranges.items()}
    try:
        quantizer = QDQQuantizer(
            whole,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=list(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=list(_QUANTIZED),
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
    made: Any = quantizer.model.model
    graph = made.graph
    graph.output.extend(model.graph.output)
    del graph.value_info[:]
    graph.value_info.extend(model.graph.value_info)
    made.producer_name = model.producer_name
    before = {node.name: node.input for node in model.graph.node if node.name not in nodes}
    for node in graph.node:
        if node.name in before:
            node.input[:] = before[node.name]
    read = {name for node in graph.node for name in names_read(node)} | set(output_names(graph))
    missing = read - {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(each for each in model.graph.initializer if each.name in missing)
    quantized: onnx.ModelProto = made
    return quantized


def _losses(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    inputs: Sequence[Mapping[str, Array]],
    plugins: Plugins,
    folder: Path,
) -> list[OutputLoss]:
    """Compare the outputs on all inputs."""
    pairs: dict[str, list[tuple[Array, Array]]] = {}
    for feeds in inputs:
        wanted, got = (run_model(m, feeds, plugins, base_dir=folder) for m in (before, after))
        for name, array in wanted.items():
            if array.dtype.kind in "biuf" and array.shape == got[name].shape:
                pairs.setdefault(name, []).append((array.reshape(-1), got[name].reshape(-1)))
    return [
        OutputLoss.between(name, *(np.concatenate(each) for each in zip(*arrays, strict=True)))
        for name, arrays in pairs.items()
    ]
