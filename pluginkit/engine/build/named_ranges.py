"""Find the ranges that optimization profiles give the named dimensions of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.network_inputs import NetworkInput
from pluginkit.engine.build.profiles import resolve_profiles
from pluginkit.engine.build.shape_ranges import ShapeSpec, parse_ranges
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


def given_extents(
    model: onnx.ModelProto, shapes: Mapping[str, ShapeSpec]
) -> dict[str, tuple[int, int]]:
    """The least and the greatest size of each dimension that ``shapes`` gives, by its name.

    Args:
        model: the model, as it was exported; a dimension without a name that ``shapes`` gives gets
            one, by which rewrites find its sizes.
        shapes: as for ``build_engine``; inputs that the model does not have are ignored here.

    Errors:
        PK500, PK503: a range cannot be read.
    """
    found: dict[str, tuple[int, int]] = {}
    for value in model.graph.input:
        if value.name in shapes:
            _name_dims(model, value)
        for low, _, high in (
            parse_ranges(value.name, shapes[value.name]) if value.name in shapes else ()
        ):
            dims = dims_of(value.type) or ()
            for dim, least, largest in zip(dims, low, high, strict=False):
                if dim.dim_param and least is not None and largest is not None:
                    old = found.get(dim.dim_param, (least, largest))
                    found[dim.dim_param] = (min(old[0], least), max(old[1], largest))
    return found


def _name_dims(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> None:
    """Name the dimensions of an input that have neither a size nor a name."""
    declared = [*model.graph.input, *model.graph.output]
    taken = {dim.dim_param for each in declared for dim in dims_of(each.type) or ()}
    for axis, dim in enumerate(dims_of(value.type) or ()):
        if not dim.dim_param and (dim.dim_value < 0 or not dim.HasField("dim_value")):
            name = f"{value.name}_{axis}"
            while name in taken:
                name += "_"
            dim.dim_param = name


def _size_or_name(dim: Any) -> int | str:
    return int(dim.dim_value) if dim.HasField("dim_value") else str(dim.dim_param)
