"""The C++ of one plugin: the functions of its variants, and the tables that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pluginkit.contract import calls
from pluginkit.contract.dtypes import ALL
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PluginSpec, Port
from pluginkit.errors import TensorError
from pluginkit.export.generate.attributes import comparison, declarations
from pluginkit.export.generate.expressions import Writer, string_literal
from pluginkit.export.generate.functions import Leaves, body, constants_of
from pluginkit.export.generate.kernels import Module
from pluginkit.export.generate.names import function_name, local_name
from pluginkit.export.generate.shapes import ShapeWriter
from pluginkit.export.trace.expressions import Expr
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels.specialise import Specialisation

_TYPES = {
    dtype: f"Type::k{name}"
    for dtype, name in zip(
        ALL,
        ("Float32", "Float16", "BFloat16", "Int64", "Int32", "Int8", "UInt8", "Bool"),
        strict=True,
    )
}


@dataclass(frozen=True)
class _Functions:
    """The names of the functions that one variant has, and its table of kernels."""

    check: str
    output_shapes: str
    workspace_bytes: str
    launches: str
    kernels: tuple[int, ...]


class ProgramWriter:
    """Writes the C++ of one plugin class.

    Args:
        traced: its variants, of all tactics.
    """

    def __init__(self, traced: Sequence[TracedPlugin]) -> None:
        self._traced = traced
        self._spec: PluginSpec = traced[0].variant.plugin.spec
        self._functions: dict[str, str] = {}
        self._kernels: list[Specialisation] = []
        self._attributes: list[Plugin] = []
        self._declared: dict[Specialisation, str] = {}
        self._rows = [self._write(one) for one in traced]

    @property
    def kernels(self) -> Sequence[Specialisation]:
        """The kernels that the variants launch, in the order of the program's table."""
        return self._kernels

    def source(self, modules: Sequence[Module], images: Sequence[str]) -> str:
        """The whole file.

        Args:
            modules: of the kernels.
            images: the symbol of each module's images in turn.
        """
        name = self._spec.name
        parts = [
            f"// {name}: made by pluginkit from its Python class. Do not edit.",
            "#include <cstdint>\n#include <limits>\n#include <string>\n#include <vector>",
            '#include "variants.h"',
            *(f'extern "C" const unsigned char {symbol}[];' for symbol in images),
            "namespace pluginkit {\n\nnamespace {",
            *(text.format(name=given) for text, given in self._functions.items()),
            *self._tables(modules, images),
            "}  // namespace",
            *self._program(len(modules)),
            "}  // namespace pluginkit",
        ]
        return "\n\n".join(parts) + "\n"

    def _write(self, traced: TracedPlugin) -> _Functions:
        plugin = traced.variant.plugin
        seen = [
            index
            for index, port in enumerate(self._spec.inputs)
            if plugin.present[index] and port.is_on_device
        ]
        leaves = Leaves(seen)
        writer = Writer(dict(_names(traced)))
        inputs = self._locals(plugin)
        check = self._add(
            "check",
            "std::string {name}(const Context& context)",
            [*inputs, *body(traced.check, writer.inner(), leaves.check)],
        )
        shapes = self._add(
            "output_shapes",
            "std::vector<OutputShape> {name}(const Context& context)",
            [*inputs, *ShapeWriter(plugin).lines(traced.output_shapes)],
        )
        workspace = ["return 0;"]
        if traced.workspace_bytes is not None:
            workspace = body(traced.workspace_bytes, writer.inner(), leaves.number)
        workspace_bytes = self._add(
            "workspace_bytes", "Dim {name}(const Context& context)", [*inputs, *workspace]
        )
        launches = self._add(
            "launches",
            "void {name}(const Context& context, Recorder& recorder, const std::int32_t* kernels)",
            [*inputs, *body(traced.steps, writer.inner(), leaves.steps)],
        )
        wanted = [traced.kernels[number] for number in leaves.kernels]
        for launch in traced.launches():
            for number in constants_of(launch.number):
                self._declared[traced.kernels[number]] = launch.kernel
        for kernel in wanted:
            if kernel not in self._kernels:
                self._kernels.append(kernel)
        table = tuple(map(self._kernels.index, wanted))
        return _Functions(check, shapes, workspace_bytes, launches, table)

    def _locals(self, plugin: Plugin) -> list[str]:
        """A name for each input; which of them a function uses is seen once it is written."""
        return [
            f"const Tensor& {local_name(port.name)} = context.inputs[{index}];"
            for index, port in enumerate(self._spec.inputs)
            if plugin.present[index]
        ]

    def _add(self, method: str, signature: str, lines: Sequence[str]) -> str:
        """Keep a function, one of each text; gives its name."""
        kept = list(_without_unused(lines))
        text = "\n".join([signature + " {", *(f"    {line}" for line in kept), "}"])
        text = text.replace("{", "{{").replace("}", "}}").replace("{{name}}", "{name}")
        number = sum(name.startswith(f"{method}_") for name in self._functions.values())
        return self._functions.setdefault(text, f"{method}_{number}")

    def _tables(self, modules: Sequence[Module], images: Sequence[str]) -> Iterator[str]:
        yield from self._declared_tables()
        yield from self._kernel_tables(modules, images)
        yield from self._variant_tables()
        yield from self._entry_points()

    def _declared_tables(self) -> Iterator[str]:
        spec = self._spec
        if spec.attributes:
            yield _table("constexpr Attribute kAttributes[]", declarations(spec))
        yield _table("constexpr Input kInputs[]", map(_input, spec.inputs))
        names = [port.name for port in spec.inputs]
        yield _table(
            "constexpr Output kOutputs[]",
            (
                f"{{{string_literal(port.name)}, {str(port.is_size).lower()}, "
                f"{names.index(port.aliases) if port.aliases else -1}}}"
                for port in spec.outputs
            ),
        )
        if spec.tactics:
            yield _table("constexpr const char* kTactics[]", map(string_literal, spec.tactics))
        rows = dict.fromkeys(self._type_row(one) for one in self._traced)
        yield _table("constexpr Type kInputTypes[]", (", ".join(row) for row in rows))

    def _type_row(self, traced: TracedPlugin) -> tuple[str, ...]:
        given = iter(traced.variant.dtypes)
        present = traced.variant.plugin.present
        ports = zip(self._spec.inputs, present, strict=True)
        return tuple(_TYPES[next(given) if there else port.dtypes[0]] for port, there in ports)

    def _kernel_tables(self, modules: Sequence[Module], images: Sequence[str]) -> Iterator[str]:
        symbols = iter(images)
        for number, module in enumerate(modules):
            yield _table(
                f"constexpr Image kImages{number}[]",
                (
                    f"{{{image.compute_capability}, {str(image.is_ptx).lower()}, "
                    f"{next(symbols)}, {len(image.data)}}}"
                    for image in module.images
                ),
            )
        if not modules:
            return
        yield _table(
            "constexpr Module kModules[]",
            (f"{{kImages{n}, {len(one.images)}}}" for n, one in enumerate(modules)),
        )
        places = {
            kernel: (number, symbol)
            for number, module in enumerate(modules)
            for kernel, symbol in zip(module.kernels, module.symbols, strict=True)
        }
        yield _table(
            "constexpr Kernel kKernels[]",
            (
                f"{{{string_literal(self._declared[kernel])}, {string_literal(str(kernel))}, "
                f"{string_literal(places[kernel][1])}, {places[kernel][0]}}}"
                for kernel in self._kernels
            ),
        )

    def _variant_tables(self) -> Iterator[str]:
        for number, (traced, row) in enumerate(zip(self._traced, self._rows, strict=True)):
            if row.kernels:
                listed = ", ".join(map(str, row.kernels))
                yield f"constexpr std::int32_t kKernelsOf{number}[] = {{{listed}}};"
            yield from self._variant_inputs(number, traced)
        yield _table("constexpr Variant kVariants[]", map(self._variant, range(len(self._rows))))
        described = [repr(plugin) for plugin in self._attributes]
        yield _table("constexpr const char* kAttributeTexts[]", map(string_literal, described))
        yield (
            f"const Variants kAllVariants({string_literal(self._spec.name)}, kAttributeTexts, "
            f"kVariants,\n                            {len(self._rows)}, "
            f"{len(self._spec.inputs)});"
        )

    def _variant_inputs(self, number: int, traced: TracedPlugin) -> Iterator[str]:
        given = iter(zip(traced.variant.dtypes, traced.variant.ranges, strict=True))
        inputs = []
        for index, present in enumerate(traced.variant.plugin.present):
            if not present:
                inputs.append("{false, Type::kFloat32, 0, nullptr}")
                continue
            dtype, ranges = next(given)
            table = "nullptr"
            if ranges:
                table = f"kRanges{number}_{index}"
                listed = ", ".join(f"{{{least}, {largest}}}" for least, largest in ranges)
                yield f"constexpr Range {table}[] = {{{listed}}};"
            inputs.append(f"{{true, {_TYPES[dtype]}, {len(ranges)}, {table}}}")
        yield _table(f"constexpr VariantInput kInputsOf{number}[]", inputs)

    def _variant(self, number: int) -> str:
        plugin, row = self._traced[number].variant.plugin, self._rows[number]
        plain = plugin.with_tactic(self._spec.tactics[0]) if self._spec.tactics else plugin
        if plain not in self._attributes:
            self._attributes.append(plain)
        tactic = self._spec.tactics.index(plugin.tactic) if self._spec.tactics else 0
        kernels = f"kKernelsOf{number}" if row.kernels else "nullptr"
        return (
            f"{{{self._attributes.index(plain)}, {tactic}, kInputsOf{number}, {row.check}, "
            f"{row.output_shapes}, {row.workspace_bytes}, {row.launches}, {kernels}}}"
        )

    def _entry_points(self) -> Iterator[str]:
        lines = []
        for number, plugin in enumerate(self._attributes):
            lines += [f"if ({comparison(plugin)}) {{", f"    return {number};", "}"]
        yield _function(
            "std::int32_t attributes_of(const Context& context)", [*lines, "return -1;"]
        )
        yield _function(
            "std::string refuse(const Context& context)",
            ["return kAllVariants.refuse(context, attributes_of(context));"],
        )
        yield _function(
            "std::vector<Type> output_types(const Context& context)", list(self._output_types())
        )
        for result, method in (
            ("std::string", "check"),
            ("std::vector<OutputShape>", "output_shapes"),
        ):
            yield _function(
                f"{result} {method}(const Context& context)",
                [
                    "const Variant& variant = "
                    "kAllVariants.find_of_any_type(context, attributes_of(context));",
                    f"return variant.{method}(context);",
                ],
            )
        yield _function(
            "Dim workspace_bytes(const Context& context)",
            [
                "const Variant& variant = kAllVariants.find(context, attributes_of(context));",
                "return variant.workspace_bytes(context);",
            ],
        )
        yield _function(
            "void steps(const Context& context, Recorder& recorder)",
            [
                "const Variant& variant = kAllVariants.find(context, attributes_of(context));",
                "variant.launches(context, recorder, variant.kernels);",
            ],
        )

    def _output_types(self) -> Iterator[str]:
        """Rows of input types with what the author's output_types gives for them, or refuses."""
        if "output_types" not in self._spec.overrides:
            yield f"return {{{', '.join(self._plain_output_types())}}};"
            return
        yield "const std::int32_t attributes = attributes_of(context);"
        for number, plugin in enumerate(self._attributes):
            yield f"if (attributes == {number}) {{"
            for present in dict.fromkeys(one.variant.plugin.present for one in self._traced):
                there = [
                    p.name
                    for p, is_there in zip(self._spec.inputs, present, strict=True)
                    if is_there
                ]
                for lines in _type_cases(plugin.with_inputs(*there)):
                    yield f"    {lines}"
            yield "}"
        message = f"PK112 {self._spec.name}: no output types for these input types."
        yield f"throw Refusal({string_literal(message)});"

    def _plain_output_types(self) -> Iterator[str]:
        for port in self._spec.outputs:
            text = _TYPES[port.dtypes[0]]
            for index, one in reversed(list(enumerate(self._spec.inputs))):
                if port.variable is not None and one.variable == port.variable:
                    bound = f"context.inputs[{index}].type"
                    is_there = f"context.inputs[{index}].is_present"
                    text = f"{is_there} ? {bound} : {text}" if one.optional else bound
            yield text

    def _program(self, modules: int) -> Iterator[str]:
        spec = self._spec
        rows = len(dict.fromkeys(self._type_row(one) for one in self._traced))
        tables = [
            ("kAttributes", len(spec.attributes)),
            ("kInputs", len(spec.inputs)),
            ("kOutputs", len(spec.outputs)),
            ("kTactics", len(spec.tactics)),
            ("kInputTypes", rows),
            ("kModules", modules),
            ("kKernels", len(self._kernels)),
        ]
        fields = [
            string_literal(spec.name),
            *map(string_literal, spec.key),
            *(f"{name if count else 'nullptr'}, {count}" for name, count in tables),
            str("workspace_bytes" in spec.overrides).lower(),
            "refuse",
            "output_types",
            "check",
            "output_shapes",
            "workspace_bytes",
            "steps",
        ]
        name = function_name(spec.name)
        yield f"extern const Program {name};"
        listed = "\n".join(f"    {field}," for field in fields)
        yield f"const Program {name} = {{\n{listed}\n}};"


def _names(traced: TracedPlugin) -> Iterator[tuple[Expr, str]]:
    """What needs no computation: members of inputs; an input that comes first gives the name."""
    found: dict[Expr, str] = {}
    for expr, (port, member) in traced.names.items():
        if not expr.is_constant:
            is_number = port == "context"  # where all others are Dims
            text = f"Dim({port}.{member})" if is_number else f"{local_name(port)}.{member}"
            found.setdefault(expr, text)
    yield from found.items()


def _table(declaration: str, rows: Iterable[str]) -> str:
    lines = "\n".join(f"    {row}," for row in rows)
    return f"{declaration} = {{\n{lines}\n}};"


def _function(signature: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{signature} {{", *(f"    {line}" for line in lines), "}"])


def _input(port: Port) -> str:
    is_shaping = port.is_shape_input
    return (
        f"{{{string_literal(port.name)}, {str(port.optional).lower()}, "
        f"{port.length if is_shaping else -1}, {_TYPES[port.dtypes[0]]}, "
        f"{port.ranks[0]}, {port.ranks[1]}}}"
    )


def _without_unused(lines: Sequence[str]) -> Iterator[str]:
    """The lines without declarations of inputs that no other line mentions."""
    for index, line in enumerate(lines):
        declared = re.match(r"const Tensor& (\w+) = ", line)
        others = lines[:index] + lines[index + 1 :]
        if declared is None or any(re.search(rf"\b{declared[1]}\b", other) for other in others):
            yield line


def _type_cases(plugin: Plugin) -> Iterator[str]:
    """For each allowed combination of input types, what the author's output_types says."""
    spec = plugin.spec
    ports = calls.device_ports(plugin)
    indices = [list(spec.inputs).index(port) for port in ports]
    for dtypes in product(*(port.dtypes for port in ports)):
        if not calls.dtypes_are_allowed(plugin, dtypes, ports):
            continue
        every = calls.with_shape_inputs(plugin, [()] * len(dtypes), dtypes)[1]
        condition = " && ".join(
            f"context.inputs[{index}].type == {_TYPES[dtype]}"
            for index, dtype in zip(indices, dtypes, strict=True)
        )
        try:
            types = calls.output_types(plugin, calls.describe_dtypes(plugin, every))
            result = f"return {{{', '.join(_TYPES[dtype] for dtype in types)}}};"
        except TensorError as error:
            result = f"throw Refusal({string_literal(str(error))});"
        yield f"if ({condition}) {{ {result} }}"
