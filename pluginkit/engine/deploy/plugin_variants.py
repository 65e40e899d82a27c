"""Choose the calls for which the library of a whole plugin is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType, dtype_from_numpy
from pluginkit.contract.plugin import Case, Plugin
from pluginkit.contract.spec import Port
from pluginkit.errors import TensorError, UsageError
from pluginkit.export.variant import ANY, Variant, merged


def plugin_variants(
    plugin_class: type[Plugin],
    types: Sequence[str] = (),
    attributes: Mapping[str, Sequence[Any]] | None = None,
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

    Errors:
        PK810: the plugin has no cases, or refuses all types.  PK811: no input can have one of the
        types.  PK103, PK104: the attributes.
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
    found = merged(
        variant
        for case in cases
        for changes in _combinations(attributes or {})
        for variant in _variants_of(plugin_class, case, changes, types)
    )
    if not found:
        raise UsageError(
            "PK810",
            f"{plugin_class.__name__} takes none of its cases with these types and attributes; "
            "expected at least one.",
            fix="name other --types and --attribute; pluginkit show lists what the plugin takes.",
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
