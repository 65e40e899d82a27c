"""Find the variants of a model's plugin nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType, dtype_from_onnx
from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.contract.spec import Port
from pluginkit.errors import ExportError
from pluginkit.export.variant import ANY, DimRange, Variant, merged
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types, axis_sizes
from pluginkit.onnx.model.graphs import Scope, describe, scopes
from pluginkit.onnx.model.plugin_nodes import plugin_of_node


def model_variants(
    model: onnx.ModelProto, plugins: Plugins, ranges: Mapping[str, DimRange]
) -> list[Variant]:
    """Return the variants that a library for a model needs.

    Args:
        model: the model, rewritten.
        plugins: the plugins by their keys.
        ranges: the range of each named dimension, from the optimization profiles.

    Errors:
        PK808: the type or rank of a node's input is not known.
    """
    types = infer_types(model)
    return merged(
        variant
        for scope in scopes(model)
        for node in scope.graph.node
        for variant in _variants_of(scope, node, plugins, types, ranges)
    )


def _variants_of(
    scope: Scope,
    node: onnx.NodeProto,
    plugins: Plugins,
    types: Types,
    ranges: Mapping[str, DimRange],
) -> Iterator[Variant]:
    plugin = plugin_of_node(node, plugins)
    if plugin is None:
        return
    ports = calls.present_ports(plugin)
    dtypes: list[DType] = []
    dims: list[tuple[DimRange, ...]] = []
    for port, name in zip(ports, filter(None, node.input), strict=True):
        found = types.find(scope, name)
        shape = axis_sizes(found)
        if found is None or not found.tensor_type.elem_type or shape is None:
            raise _unknown(scope, node, plugin, port)
        dtypes.append(dtype_from_onnx(found.tensor_type.elem_type))
        is_shaping = port.is_shape_input
        dims.append((ANY,) * port.length if is_shaping else _ranges_of(shape, ranges))
    yield Variant(plugin, tuple(dtypes), tuple(dims))


def _ranges_of(
    sizes: Sequence[int | str | None], ranges: Mapping[str, DimRange]
) -> tuple[DimRange, ...]:
    return tuple(
        (size, size) if isinstance(size, int) else ranges.get(size or "", ANY) for size in sizes
    )


def _unknown(scope: Scope, node: onnx.NodeProto, plugin: Plugin, port: Port) -> ExportError:
    return ExportError(
        "PK808",
        f"{type(plugin).__name__}: the type or rank of input '{port.name}' does not follow from "
        "the model; expected both.",
        where=f"{scope.path}, node {describe(node)}",
        fix="give the value a type in the model, or export the plugin itself with --types.",
    )
