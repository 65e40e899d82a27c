"""Generate the tables of a plugin's C++: declarations, kernels and variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PluginSpec, Port
from pluginkit.export.generate.attribute_code import declarations
from pluginkit.export.generate.cpp_expressions import string_literal
from pluginkit.export.generate.cpp_text import TYPES, table
from pluginkit.export.generate.kernels import KernelModule
from pluginkit.export.generate.variant_functions import FunctionNames
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels.specialise import CudaSpecialisation, Specialisation


def type_rows(traced: Sequence[TracedPlugin]) -> list[tuple[str, ...]]:
    """Return the combinations of input types for which there are variants."""
    return list(dict.fromkeys(map(_type_row, traced)))


def _type_row(traced: TracedPlugin) -> tuple[str, ...]:
    plugin = traced.variant.plugin
    given = iter(traced.variant.dtypes)
    ports = zip(plugin.spec.inputs, plugin.present, strict=True)
    return tuple(TYPES[next(given) if there else port.dtypes[0]] for port, there in ports)


def declared_tables(spec: PluginSpec, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the tables of attributes, inputs, outputs, tactics and types."""
    if spec.attributes:
        yield table("constexpr Attribute kAttributes[]", declarations(spec))
    yield table("constexpr Input kInputs[]", map(_input, spec.inputs))
    names = [port.name for port in spec.inputs]
    yield table(
        "constexpr Output kOutputs[]",
        (
            f"{{{string_literal(port.name)}, {str(port.is_size).lower()}, "
            f"{names.index(port.aliases) if port.aliases else -1}}}"
            for port in spec.outputs
        ),
    )
    if spec.tactics:
        yield table("constexpr const char* kTactics[]", map(string_literal, spec.tactics))
    yield table("constexpr Type kInputTypes[]", (", ".join(row) for row in rows))


def _input(port: Port) -> str:
    return (
        f"{{{string_literal(port.name)}, {str(port.optional).lower()}, "
        f"{port.length if port.is_shape_input else -1}, {TYPES[port.dtypes[0]]}, "
        f"{port.ranks[0]}, {port.ranks[1]}}}"
    )


def kernel_tables(
    kernels: Mapping[Specialisation, str], modules: Sequence[KernelModule], images: Sequence[str]
) -> Iterator[str]:
    """Yield the tables of images, modules and kernels.

    Args:
        kernels: the kernels, each with its declaration.
        modules: the modules of the kernels.
        images: the symbols of the modules' images, one module after the other.
    """
    symbols = iter(images)
    for number, module in enumerate(modules):
        rows = [
            f"{{{image.compute_capability}, {str(image.is_ptx).lower()}, "
            f"{next(symbols)}, {len(image.data)}}}"
            for image in module.images
        ]
        yield table(f"constexpr Image kImages{number}[]", rows)
    if not modules:
        return
    counts = (f"{{kImages{n}, {len(one.images)}}}" for n, one in enumerate(modules))
    yield table("constexpr Module kModules[]", counts)
    places = {
        kernel: f"{string_literal(symbol)}, {number}"
        for number, module in enumerate(modules)
        for kernel, symbol in zip(module.kernels, module.symbols, strict=True)
    }
    rows = [
        f"{{{string_literal(declared)}, {string_literal(str(kernel))}, {places[kernel]}"
        f"{', true' * _overlaps(kernel)}}}"
        for kernel, declared in kernels.items()
    ]
    yield table("constexpr Kernel kKernels[]", rows)


def _overlaps(kernel: Specialisation) -> bool:
    return isinstance(kernel, CudaSpecialisation) and kernel.overlaps


def variant_tables(
    traced: Sequence[TracedPlugin], names: Sequence[FunctionNames], attributes: Sequence[Plugin]
) -> Iterator[str]:
    """Yield the table of variants, and the function that finds a call's variant.

    Args:
        traced: the variants.
        names: the names of each variant's functions.
        attributes: every set of attribute values.
    """
    rows = []
    for number, (one, functions) in enumerate(zip(traced, names, strict=True)):
        if functions.kernels:
            listed = ", ".join(map(str, functions.kernels))
            yield f"constexpr std::int32_t kKernelsOf{number}[] = {{{listed}}};"
        yield from _variant_inputs(number, one)
        rows.append(_variant(number, one.variant.plugin, functions, attributes))
    yield table("constexpr Variant kVariants[]", rows)
    described = map(string_literal, map(repr, attributes))
    yield table("constexpr const char* kAttributeTexts[]", described)
    spec = traced[0].variant.plugin.spec
    yield (
        f"const Variants kAllVariants({string_literal(spec.name)}, kAttributeTexts, kVariants, "
        f"{len(rows)}, {len(spec.inputs)});"
    )


def _variant_inputs(number: int, traced: TracedPlugin) -> Iterator[str]:
    given = iter(zip(traced.variant.dtypes, traced.variant.ranges, strict=True))
    inputs = []
    for index, present in enumerate(traced.variant.plugin.present):
        if not present:
            inputs.append("{false, Type::kFloat32, 0, nullptr}")
            continue
        dtype, ranges = next(given)
        name = "nullptr"
        if ranges:
            name = f"kRanges{number}_{index}"
            listed = ", ".join(f"{{{least}, {largest}}}" for least, largest in ranges)
            yield f"constexpr Range {name}[] = {{{listed}}};"
        inputs.append(f"{{true, {TYPES[dtype]}, {len(ranges)}, {name}}}")
    yield table(f"constexpr VariantInput kInputsOf{number}[]", inputs)


def _variant(
    number: int, plugin: Plugin, names: FunctionNames, attributes: Sequence[Plugin]
) -> str:
    tactic = plugin.spec.tactics.index(plugin.tactic) if plugin.spec.tactics else 0
    kernels = f"kKernelsOf{number}" if names.kernels else "nullptr"
    return (
        f"{{{attributes.index(plain(plugin))}, {tactic}, kInputsOf{number}, {names.check}, "
        f"{names.output_shapes}, {names.workspace_bytes}, {names.launches}, {kernels}}}"
    )


def plain(plugin: Plugin) -> Plugin:
    """Return a plugin with the same attributes, but without present inputs and tactic."""
    return type(plugin)(**plugin.attribute_values)
