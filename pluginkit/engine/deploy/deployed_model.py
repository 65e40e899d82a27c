"""Rewrite the model of a deployment, with plugin nodes that all of TensorRT's hosts accept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.named_ranges import named_ranges
from pluginkit.engine.build.profiles import OptimizationProfile, resolve_profiles
from pluginkit.engine.build.rewritten_source import rewritten_source
from pluginkit.export.variant import Variant
from pluginkit.onnx.inference.network_inputs import inputs_of_model
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.target import Target

if TYPE_CHECKING:
    import onnx

    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

#: The only domain whose nodes ONNX Runtime's TensorRT provider hands to TensorRT. TensorRT's own
#: parser looks at the attribute plugin_namespace instead.
_DOMAIN = "trt.plugins"


@dataclass(frozen=True)
class ModelTensor:
    """An input or output of a model.

    Attributes:
        name: its name.
        dtype: as ONNX calls it, ``"FLOAT"``.
        shape: a number or a name, possibly empty, for each dimension; None where the rank is not
            known.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class DeployedModel:
    """A model that was made ready for servers.

    Attributes:
        model: rewritten.
        source: the file that it comes from; its external data is in the same folder.
        plugins: the plugins that may be used, by their keys.
        inputs, outputs: of the graph.
        profiles: the optimization profiles. They are empty where the model has an input that is a
            shape tensor.
        variants: the calls of its plugin nodes.
    """

    model: onnx.ModelProto
    source: Path
    plugins: Plugins
    inputs: tuple[ModelTensor, ...]
    outputs: tuple[ModelTensor, ...]
    profiles: tuple[OptimizationProfile, ...]
    variants: tuple[Variant, ...]


def deployed_model(
    path: Path,
    shapes: Mapping[str, ShapeSpec],
    target: Target,
    *,
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice | None = None,
) -> DeployedModel:
    """Rewrite a model for a TensorRT and find the calls that its plugin nodes make.

    Args:
        path: the ONNX model.
        shapes: as for ``build_engine``.
        target: the TensorRT that will parse it.
        plugins: the plugins that may be used; by default all that are found.
        rewrites: the rewrites that may be used; by default all that are found.
        choice: which of the rewrites to apply.

    Errors:
        PK4xx: the model.  PK500 to PK504: shapes.  PK808: a type does not follow from the model.
    """
    from pluginkit.export.model_variants import model_variants

    result, _ = rewritten_source(
        path, shapes, target, plugins=plugins, rewrites=rewrites, choice=choice
    )
    ranges = named_ranges(result.model, result.plugins, shapes)
    variants = model_variants(result.model, result.plugins, ranges)
    graph = result.model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_tensor(value) for value in graph.input if value.name not in weights)
    linked = link_inputs(result.model, result.plugins, inputs_of_model(result.model, shapes))
    profiles = resolve_profiles(linked.inputs, shapes, linked.fixed)
    outputs = tuple(map(_tensor, graph.output))
    _use_domain(result.model, result.plugins)
    return DeployedModel(
        result.model, path, result.plugins, inputs, outputs, profiles, tuple(variants)
    )


def _tensor(value: onnx.ValueInfoProto) -> ModelTensor:
    import onnx

    from pluginkit.onnx.inference.value_types import axis_sizes

    sizes = axis_sizes(value.type)
    shape = None if sizes is None else tuple("" if size is None else size for size in sizes)
    dtype = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    return ModelTensor(value.name, dtype, shape)


def _use_domain(model: onnx.ModelProto, plugins: Plugins) -> None:
    """Move plugin nodes to the domain that ONNX Runtime knows; attributes keep the namespace."""
    from pluginkit.onnx.model.plugin_nodes import plugin_nodes

    nodes = [node for _, node, _ in plugin_nodes(model, plugins)]
    for node in nodes:
        node.domain = _DOMAIN
    if nodes and _DOMAIN not in {one.domain for one in model.opset_import}:
        model.opset_import.add(domain=_DOMAIN, version=1)
