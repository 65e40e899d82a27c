"""The calls that a library for a plugin as a whole is made for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Case, Plugin
from pluginkit.errors import UsageError
from pluginkit.export.variant import ANY, Variant, merged


def plugin_variants(plugin_class: type[Plugin], types: Sequence[DType] = ()) -> list[Variant]:
    """The attributes, ranks and inputs of the plugin's cases, with every type and any shape.

    Args:
        plugin_class: the plugin.
        types: for type variables that can have one of them, these alone.

    Errors:
        PK809: the plugin has no cases.
    """
    variants = merged(
        variant
        for case in plugin_class.cases()
        for binding in _bindings(plugin_class, types)
        for variant in _variants_of(plugin_class, case, binding)
    )
    if not variants:
        raise UsageError(
            "PK809",
            f"{plugin_class.__name__} has no cases; expected some, whose attributes and ranks a "
            "library is made for.",
            fix="define cases(), or export a model that uses the plugin.",
        )
    return variants


def _bindings(plugin_class: type[Plugin], types: Sequence[DType]) -> Iterator[Mapping[str, DType]]:
    wanted = set(types)
    for binding in plugin_class.spec.type_bindings():
        allowed = plugin_class.spec.types
        if all(
            dtype in wanted or not wanted & set(allowed[variable])
            for variable, dtype in binding.items()
        ):
            yield binding


def _variants_of(
    plugin_class: type[Plugin], case: Case, binding: Mapping[str, DType]
) -> Iterator[Variant]:
    plugin = plugin_class(**case.attributes)
    ports = plugin_class.spec.inputs
    given = [
        (port, array) for port, array in zip(ports, case.inputs, strict=True) if array is not None
    ]
    if plugin_class.spec.has_optional_inputs:
        plugin = plugin.with_inputs(*(port.name for port, _ in given))
    dtypes = tuple(
        binding[port.variable] if port.variable is not None else port.dtypes[0] for port, _ in given
    )
    if calls.refuses_types(plugin, calls.describe_dtypes(plugin, dtypes)):
        return
    ranges = tuple(
        (ANY,) * (port.length if port.is_shape_input else array.ndim) for port, array in given
    )
    yield Variant(plugin, dtypes, ranges)
