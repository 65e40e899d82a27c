"""Choose the calls for which the library of a whole plugin is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType, dtype_from_numpy
from pluginkit.contract.plugin import Case, Plugin
from pluginkit.contract.spec import Port
from pluginkit.errors import TensorError, UsageError
from pluginkit.export.variant import ANY, DimRange, Variant, merged
from pluginkit.onnx.inference.shape_ranges import ShapeSpec, parse_ranges


def plugin_variants(
    plugin_class: type[Plugin],
    types: Sequence[str] = (),
    attributes: Mapping[str, Sequence[Any]] | None = None,
    shapes: Mapping[str, ShapeSpec] | None = None,
) -> list[Variant]:
    """Return the variants of a plugin: its cases, in each combination of types, for all sizes.

    A case gives attributes, which of the optional inputs there are, and their ranks. Its sizes do
    not matter. A node with other attributes, inputs or ranks is refused by the library, in words.

    Args:
        plugin_class: the plugin.
        types: names of dtypes. A type variable that can be one of them is no other; all other
            variables keep all of their types.
        attributes: the values to take for an attribute in the place of those of the cases, each
            combination of them in turn.
        shapes: ranges of inputs; cases in which such an input has another rank are left out.

    Errors:
        PK500, PK503: the shapes.  PK810: the plugin has no cases, or takes none of them so.
        PK811: no input can have one of the types.  PK103, PK104: the attributes.
    """
    cases = list(plugin_class.cases())
    if not cases:
        raise UsageError(
            "PK810",
            f"{plugin_class.__name__} has no cases; expected some, which say for what attributes, "
            "inputs and ranks to export it.",
            fix="define cases(), or export a model that uses the plugin.",
        )
    _check_types(plugin_class, types)
    ranges = {name: _ranges_of(name, spec) for name, spec in (shapes or {}).items()}
    found = merged(
        narrowed
        for case in cases
        for changes in _combinations(attributes or {})
        for variant in _variants_of(plugin_class, case, changes, types)
        if (narrowed := _narrowed(variant, ranges)) is not None
    )
    if not found:
        raise UsageError(
            "PK810",
            f"{plugin_class.__name__} takes none of its cases with these types, attributes "
            "and shapes; expected at least one.",
            fix="name other --types, --attribute and --shapes; pluginkit show lists what the "
            "plugin takes.",
        )
    return found


def _combinations(attributes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*attributes.values()):
        yield dict(zip(attributes, values, strict=True))


def _variants_of(
    plugin_class: type[Plugin], case: Case, changes: Mapping[str, Any], types: Sequence[str]
) -> Iterator[Variant]:
    plugin = plugin_class(**{**case.attributes, **changes})
    ports = plugin.spec.inputs
    arrays = {
        port.name: array
        for port, array in zip(ports, case.inputs, strict=True)
        if array is not None
    }
    if len(arrays) < len(ports):
        plugin = plugin.with_inputs(*arrays)
    present = calls.present_ports(plugin)
    shapes = [tuple(arrays[port.name].shape) for port in present]
    ranges = tuple(
        (ANY,) * (port.length if port.is_shape_input else len(shape))
        for port, shape in zip(present, shapes, strict=True)
    )
    for bindings in plugin.spec.type_bindings():
        if not all(
            _is_wanted(bindings[name], choices, types)
            for name, choices in plugin.spec.types.items()
        ):
            continue
        dtypes = tuple(_dtype_of(port, arrays[port.name], bindings) for port in present)
        values = calls.shape_values_in(plugin, [arrays[port.name] for port in present])
        inputs = calls.describe_inputs(plugin, shapes, dtypes, values)
        if not calls.refuses_types(plugin, inputs) and not _refuses(plugin, inputs):
            yield Variant(plugin, dtypes, ranges)


def _ranges_of(name: str, spec: ShapeSpec) -> tuple[DimRange, ...]:
    """From the smallest to the largest size of all profiles; any size where it is written ``?``."""
    profiles = parse_ranges(name, spec)
    if len({len(low) for low, _, _ in profiles}) != 1:
        raise UsageError("PK500", f"shapes of '{name}' have several ranks; expected one.")
    dims = zip(*(zip(low, high, strict=True) for low, _, high in profiles), strict=True)
    return tuple(
        ANY
        if any(None in one for one in dim)
        else (min(low for low, _ in dim), max(high for _, high in dim))
        for dim in dims
    )


def _narrowed(variant: Variant, shapes: Mapping[str, tuple[DimRange, ...]]) -> Variant | None:
    """The variant for these sizes; None where an input has another rank."""
    ranges = []
    for port, own in zip(calls.present_ports(variant.plugin), variant.ranges, strict=True):
        given = shapes.get(port.name, own) if port.is_on_device else own
        if len(given) != len(own):
            return None
        ranges.append(given)
    return replace(variant, ranges=tuple(ranges))


def _refuses(plugin: Plugin, inputs: calls.Inputs) -> bool:
    """Whether the plugin's own check refuses a case, whose attributes have been changed."""
    try:
        calls.check(plugin, inputs)
    except TensorError:
        return True
    return False


def _is_wanted(dtype: DType, choices: Sequence[DType], types: Sequence[str]) -> bool:
    return dtype.name in types or not any(one.name in types for one in choices)


def _dtype_of(port: Port, array: Any, bindings: Mapping[str, DType]) -> DType:
    if port.variable is not None:
        return bindings[port.variable]
    given = dtype_from_numpy(array.dtype)
    return given if given in port.dtypes else port.dtypes[0]


def _check_types(plugin_class: type[Plugin], types: Sequence[str]) -> None:
    possible = {dtype.name: None for port in plugin_class.spec.inputs for dtype in port.dtypes}
    for name in types:
        if name not in possible:
            raise UsageError(
                "PK811",
                f"{plugin_class.__name__}: no input can be '{name}'; expected one of "
                f"{', '.join(possible)}.",
                fix="correct --types.",
            )
