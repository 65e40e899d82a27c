"""Find the ranges that optimization profiles give the named dimensions of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.network_inputs import NetworkInput
from pluginkit.engine.build.profiles import resolve_profiles
from pluginkit.engine.build.shape_ranges import ShapeSpec
from pluginkit.errors import UsageError
from pluginkit.export.variant import DimRange
from pluginkit.onnx.inference.value_types import dims_of


def named_ranges(
    model: onnx.ModelProto, plugins: Plugins, shapes: Mapping[str, ShapeSpec]
) -> dict[str, DimRange]:
    """The range of each named dimension of the model's inputs, over all optimization profiles.

    Args:
        model: the model, rewritten.
        plugins: the plugins of its nodes.
        shapes: as for ``build_engine``.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        NetworkInput(value.name, tuple(map(_size_or_name, dims_of(value.type) or ())))
        for value in model.graph.input
        if value.name not in weights
    ]
    try:
        linked = link_inputs(model, plugins, inputs)
        profiles = resolve_profiles(linked.inputs, shapes, linked.fixed)
    except UsageError:  # only TensorRT knows which inputs are shape tensors
        return {}
    found: dict[str, DimRange] = {}
    for one in inputs:
        ends = [profile.ranges[one.name] for profile in profiles if one.name in profile.ranges]
        for axis, dim in enumerate(one.shape if ends else ()):
            if isinstance(dim, str) and dim:
                least, largest = found.get(dim, (ends[0].min[axis], ends[0].max[axis]))
                found[dim] = (
                    min(least, *(end.min[axis] for end in ends)),
                    max(largest, *(end.max[axis] for end in ends)),
                )
    return found


def _size_or_name(dim: Any) -> int | str:
    return int(dim.dim_value) if dim.HasField("dim_value") else str(dim.dim_param)
