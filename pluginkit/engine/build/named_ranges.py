"""Find the ranges that optimization profiles give the named dimensions of a model."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.profiles import resolve_profiles
from pluginkit.errors import UsageError
from pluginkit.export.variant import DimRange
from pluginkit.onnx.inference.network_inputs import inputs_of_model
from pluginkit.onnx.inference.shape_ranges import ShapeSpec


def named_ranges(
    model: onnx.ModelProto, plugins: Plugins, shapes: Mapping[str, ShapeSpec]
) -> dict[str, DimRange]:
    """The range of each named dimension of the model's inputs, over all optimization profiles.

    Args:
        model: the model, rewritten.
        plugins: the plugins of its nodes.
        shapes: as for ``build_engine``.
    """
    inputs = inputs_of_model(model, shapes)
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
