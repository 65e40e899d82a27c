"""Quantize a model to int8 with explicit QuantizeLinear and DequantizeLinear nodes.

ONNX Runtime's quantizer places them: before convolutions and matrix products, symmetric, with a
scale for each channel of a weight. It gets ranges that pluginkit measures, because ONNX Runtime
cannot run plugin nodes. Those get int8 if their classes say what it means, and else float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.numpy_helper

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    signature_of,
)
from pluginkit.onnx.model.graphs import Scope, describe, main_and_bodies, scopes, sorted_nodes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.model.weightless_model import skeleton_for_checker
from pluginkit.onnx.precision.body_magnitudes import ValueKey
from pluginkit.onnx.precision.measured_values import float32_values, magnitudes
from pluginkit.onnx.precision.output_losses import output_losses
from pluginkit.onnx.precision.precision_options import (
    KeptNode,
    PrecisionReport,
    Quantization,
    check_names,
    check_opset,
)
from pluginkit.onnx.precision.quantize_plugin import (
    QuantizedPorts,
    quantize_plugin,
    quantized_ports,
)
from pluginkit.onnx.precision.quantize_scope import QUANTIZED, quantize_scope
from pluginkit.onnx.precision.scoped_values import ScopedValues
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.scope_edit import set_nodes

#: Nodes that an error names.
_NAMED = 4
#: The first opset in which a weight has a scale for each channel.
_PER_CHANNEL = 13


@dataclass(frozen=True)
class _QuantizableNode:
    """A node that may be quantized.

    Attributes:
        scope, node: where it is.
        plugin: its plugin, None for one of ONNX's operators.
        ports: what of a plugin becomes int8; or why nothing does; None for an operator of ONNX.
    """

    scope: Scope
    node: onnx.NodeProto
    plugin: Plugin | None
    ports: QuantizedPorts | str | None

    @property
    def names(self) -> list[str]:
        """The values whose ranges it needs, if they are not stored."""
        if isinstance(self.ports, QuantizedPorts):
            return self.ports.names(self.node)
        return [name for name in self.node.input[:2] if name] if self.ports is None else []


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
        PK460: a name keeps nothing.  PK462: there are no ranges, or nothing to quantize.  PK463:
        the opset is too old.  PK464: the quantizer fails.  PK423: the result is invalid.  PK440,
        PK441: it does not run.
    """
    if model.functions:
        model.CopyFrom(inline_functions(model))
    check_opset(model, "int8 with a scale for each channel", _PER_CHANNEL)
    nodes = [node for scope in scopes(model) for node in scope.graph.node]
    check_names(quantization, nodes)
    onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    imported = {each.domain: each for each in model.opset_import}  # some exporters repeat one
    del model.opset_import[:]
    model.opset_import.extend(imported.values())
    _store_constants(model)
    _name_nodes(model)
    complete_value_info(model, infer_types(model), plugins)
    before = onnx.ModelProto()
    before.CopyFrom(model)
    values = ScopedValues(model)
    candidates = list(_candidates(model, values, plugins))
    ranges = _ranges(model, candidates, values, quantization, plugins, folder)
    report = PrecisionReport("int8")
    chosen = [
        each for each in candidates if not _is_kept(each, values, ranges, quantization, report)
    ]
    if not chosen:
        raise UsageError(
            "PK462",
            f"there is nothing to quantize: no {', '.join(QUANTIZED)}, and no plugin with a scale "
            "for int8, has the ranges of its values.",
            cause="\n".join(f"{each.node}: {each.reason}" for each in report.kept[:_NAMED]),
            fix="give inputs with --calibrate, or ranges of these values with --ranges.",
        )
    original = skeleton_for_checker(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    _quantize(model, chosen, values, ranges)
    for scope in scopes(model):
        set_nodes(scope, sorted_nodes(scope) or list(scope.graph.node))
    _drop_unread(model, stored & {name for each in chosen for name in each.node.input})
    check_rewritten(signature_of(model.graph), original, model)
    report.converted = len(chosen)
    report.casts = sum(
        node.op_type == "QuantizeLinear" for scope in scopes(model) for node in scope.graph.node
    ) - sum(node.op_type == "QuantizeLinear" for node in nodes)
    report.losses = output_losses(before, model, quantization.inputs, plugins, folder)
    return report


def _store_constants(model: onnx.ModelProto) -> None:
    """Make initializers of Constant nodes that are weights: only of these is int8 stored."""
    found = list(main_and_bodies(model))
    read = {
        name
        for scope in found
        for node in scope.graph.node
        if node.op_type in QUANTIZED
        for name in node.input
    }
    for scope in found:
        index = GraphIndex(scope)
        stored = {name: index.constant(name) for name in read if name in index.producers}
        for name, tensor in stored.items():
            if tensor is not None:
                scope.graph.initializer.add().CopyFrom(tensor)
                scope.graph.initializer[-1].name = name
        gone = {name for name, tensor in stored.items() if tensor is not None}
        set_nodes(scope, [node for node in index.nodes if gone.isdisjoint(node.output)])


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give every node of a scope a name of its own; the quantizer tells nodes by them."""
    names = ModelNames(model)
    for scope in main_and_bodies(model):
        seen = set()
        for node in scope.graph.node:
            if not node.name or node.name in seen:
                node.name = names.new_node(f"{node.op_type}_{node.output[0]}")
            seen.add(node.name)


def _candidates(
    model: onnx.ModelProto, values: ScopedValues, plugins: Plugins
) -> Iterator[_QuantizableNode]:
    for scope in main_and_bodies(model):
        for node in scope.graph.node:
            plugin = plugin_of_node(node, plugins)
            if plugin is not None:
                ports = quantized_ports(plugin, scope, node, values)
                yield _QuantizableNode(scope, node, plugin, ports)
            elif node.op_type in QUANTIZED:
                made_by = [values.producer(scope, name) for name in node.input if name]
                is_done = any(each and each.op_type == "DequantizeLinear" for each in made_by)
                reason = "it reads quantized values already" if is_done else None
                yield _QuantizableNode(scope, node, None, reason)


def _ranges(
    model: onnx.ModelProto,
    candidates: Sequence[_QuantizableNode],
    values: ScopedValues,
    quantization: Quantization,
    plugins: Plugins,
    folder: Path,
) -> dict[ValueKey, float]:
    """Return the ranges of what the candidates need: stored, given, or measured."""
    found: dict[ValueKey, float] = {}
    missing = set()
    measurable = float32_values(model)
    given = quantization.ranges or {}
    for each in candidates:
        for name in each.names:
            key, stored = values.key(each.scope, name), values.constant(each.scope, name)
            if name in given:
                found[key] = given[name]
            elif stored is not None:
                array = onnx.numpy_helper.to_array(stored)
                found[key] = float(np.abs(array.astype(np.float32)).max(initial=0))
            elif key in measurable:
                missing.add(key)
    if quantization.inputs:
        found |= magnitudes(model, missing, plugins, folder, quantization.inputs)
    return found


def _is_kept(
    candidate: _QuantizableNode,
    values: ScopedValues,
    ranges: Mapping[ValueKey, float],
    quantization: Quantization,
    report: PrecisionReport,
) -> bool:
    """Whether a node stays in float32, which is then noted with the reason."""
    scope, node = candidate.scope, candidate.node
    unknown = [name for name in candidate.names if values.key(scope, name) not in ranges]
    reason = None
    if (name := quantization.named(node)) is not None:
        reason = f"kept by '{name}'"
    elif isinstance(candidate.ports, str):
        reason = candidate.ports
    elif unknown:
        reason = f"no range of '{unknown[0]}'"
    if reason is not None:
        report.kept.append(KeptNode(describe(node), scope.path, reason))
    return reason is not None


def _quantize(
    model: onnx.ModelProto,
    chosen: Sequence[_QuantizableNode],
    values: ScopedValues,
    ranges: Mapping[ValueKey, float],
) -> None:
    """Quantize what the chosen nodes read, scope by scope.

    The scopes inside one are copied with its nodes, so that each scope is looked up anew.
    """
    names = ModelNames(model)
    for path in dict.fromkeys(each.scope.path for each in chosen):
        scope = next(each for each in main_and_bodies(model) if each.path == path)
        here = [each for each in chosen if each.scope.path == path]
        known = {
            name: ranges[values.key(scope, name)]
            for each in here
            for name in each.names
            if values.key(scope, name) in ranges
        }
        operators = [each.node.name for each in here if each.plugin is None]
        plugins = {each.node.name: each for each in here if each.plugin is not None}
        if operators:
            quantize_scope(model, scope, known, operators, values, names)
        nodes = []
        for node in scope.graph.node:
            each = plugins.get(node.name)
            if each is None or each.plugin is None or not isinstance(each.ports, QuantizedPorts):
                nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
                continue
            made, stored = quantize_plugin(each.plugin, node, each.ports, known.__getitem__, names)
            nodes += made
            scope.graph.initializer.extend(stored)
        del scope.graph.node[:]
        scope.graph.node.extend(nodes)


def _drop_unread(model: onnx.ModelProto, weights: set[str]) -> None:
    """Remove weights that nobody reads any more, since all their readers have int8."""
    read = GraphIndex(next(scopes(model)))
    gone = {name for name in weights if not read.readers[name] and name not in read.outputs}
    for at in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[at].name in gone:
            del model.graph.initializer[at]
