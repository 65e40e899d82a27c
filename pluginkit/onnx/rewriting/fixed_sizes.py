"""Find the sizes that a user gives a model's named dimensions, and fix those that have one size."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from pluginkit.errors import RewriteError, UsageError
from pluginkit.onnx.inference.given_ranges import given_ranges
from pluginkit.onnx.inference.network_inputs import inputs_of_model
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.inference.value_types import dims_of


def given_extents(
    model: onnx.ModelProto, shapes: Mapping[str, ShapeSpec]
) -> dict[str, tuple[int, int]]:
    """Return the least and the greatest size of each dimension that ``shapes`` gives, by its name.

    Args:
        model: the model, as it was exported; a dimension without a name that ``shapes`` gives gets
            one, by which rewrites find its sizes.
        shapes: as for ``build_engine``; inputs whose rank is unknown are ignored here.

    Errors:
        PK500 to PK504: as for ``given_ranges``.
    """
    ranked = {value.name for value in model.graph.input if dims_of(value.type) is not None}
    unranked = {value.name for value in model.graph.input} - ranked
    if isinstance(shapes, Mapping):
        shapes = {name: spec for name, spec in shapes.items() if name not in unranked}
    for value in model.graph.input:
        if value.name in shapes:
            _name_dims(model, value)
    found = given_ranges(inputs_of_model(model, shapes), shapes)
    names = set.intersection(*(set(each.of_names) for each in found))
    sizes = {name: [each.of_names[name] for each in found] for name in names}
    return {
        name: (min(low for low, _, _ in each), max(high for _, _, high in each))
        for name, each in sizes.items()
    }


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


def fix_sizes(model: onnx.ModelProto, extents: Mapping[str, tuple[int, int]]) -> None:
    """Give dimensions whose least size is the greatest that size, in the main graph of a model.

    An engine for one image size then is built from the nodes of an export of that size.

    Args:
        model: the model, which is changed.
        extents: the least and the greatest size of named dimensions.
    """
    sizes = {name: least for name, (least, largest) in extents.items() if least == largest}
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output) if sizes else ():
        for dim in dims_of(value.type) or ():
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]


def refuse_unfit_sizes(extents: Mapping[str, tuple[int, int]], failure: RewriteError) -> None:
    """Blame the sizes that a user fixed, if a model to which they belong became invalid.

    Args:
        extents: the least and the greatest size of named dimensions.
        failure: what the ONNX checker says of the rewritten model.

    Errors:
        PK506: a size is fixed, and the types or shapes of the rewritten model contradict.
    """
    sizes = {name: least for name, (least, largest) in extents.items() if least == largest}
    if failure.code == "PK423" and failure.cause and sizes:
        given = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise UsageError(
            "PK506",
            f"the model does not fit the sizes that --shapes fixes, {given}; expected sizes that "
            "every node fits, those of branches that are never taken, too.",
            cause=failure.cause,
            fix="give sizes that fit, or a range. If a branch is chosen by an input that is always "
            "the same, such as a sampling rate, make the input an initializer with that value.",
        ) from failure
