"""Generate the C++ file of one plugin: its variants' functions, its tables, and its Program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from pluginkit.contract import calls
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import TensorError
from pluginkit.export.generate.attribute_code import comparison
from pluginkit.export.generate.cpp_expressions import string_literal
from pluginkit.export.generate.cpp_names import function_name
from pluginkit.export.generate.cpp_text import TYPES, function
from pluginkit.export.generate.kernels import KernelModule
from pluginkit.export.generate.program_tables import (
    declared_tables,
    kernel_tables,
    plain,
    type_rows,
    variant_tables,
)
from pluginkit.export.generate.variant_functions import VariantFunctions
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels.specialise import Specialisation

_FIND = "const Variant& variant = kAllVariants.{}(context, attributes_of(context));"


class ProgramWriter:
    """Generates the C++ of one plugin class.

    Args:
        traced: the traced variants of the class, with all tactics.
    """

    def __init__(self, traced: Sequence[TracedPlugin]) -> None:
        self._traced = traced
        self._spec = traced[0].variant.plugin.spec
        self._functions = VariantFunctions(self._spec)
        self._names = [self._functions.write(one) for one in traced]
        self._attributes: list[Plugin] = []
        for one in traced:
            if plain(one.variant.plugin) not in self._attributes:
                self._attributes.append(plain(one.variant.plugin))

    @property
    def kernels(self) -> Sequence[Specialisation]:
        """Return the kernels that the variants launch, in the order of the program's table."""
        return list(self._functions.kernels)

    @property
    def functions(self) -> Sequence[tuple[str, ...]]:
        """The names of each variant's functions."""
        return [
            (one.check, one.output_shapes, one.workspace_bytes, one.launches) for one in self._names
        ]

    def source(self, modules: Sequence[KernelModule], images: Sequence[str]) -> str:
        """Return the text of the C++ file.

        Args:
            modules: the modules of the kernels.
            images: the symbols of the modules' images, one module after the other.
        """
        rows = type_rows(self._traced)
        parts = [
            f"// {self._spec.name}: made by pluginkit from its Python class. Do not edit.",
            "#include <cstdint>\n#include <limits>\n#include <string>\n#include <vector>",
            '#include "variants.h"',
            *(f'extern "C" const unsigned char {symbol}[];' for symbol in images),
            "namespace pluginkit {\n\nnamespace {",
            *(text.format(name=name) for text, name in self._functions.texts.items()),
            *declared_tables(self._spec, rows),
            *kernel_tables(self._functions.kernels, modules, images),
            *variant_tables(self._traced, self._names, self._attributes),
            *self._entry_points(),
            "}  // namespace",
            *self._program(len(rows), len(modules)),
            "}  // namespace pluginkit",
        ]
        return "\n\n".join(parts) + "\n"

    def _entry_points(self) -> Iterator[str]:
        lines = []
        for number, plugin in enumerate(self._attributes):
            lines += [f"if ({comparison(plugin)}) {{", f"    return {number};", "}"]
        yield function("std::int32_t attributes_of(const Context& context)", [*lines, "return -1;"])
        yield function(
            "std::string refuse(const Context& context)",
            ["return kAllVariants.refuse(context, attributes_of(context));"],
        )
        yield function(
            "std::vector<Type> output_types(const Context& context)", list(self._output_types())
        )
        # While a network is parsed, TensorRT has not stated the types yet.
        for result, method, find in (
            ("std::string", "check", "find_of_any_type"),
            ("std::vector<OutputShape>", "output_shapes", "find_of_any_type"),
            ("Dim", "workspace_bytes", "find"),
        ):
            yield function(
                f"{result} {method}(const Context& context)",
                [_FIND.format(find), f"return variant.{method}(context);"],
            )
        yield function(
            "void steps(const Context& context, Recorder& recorder)",
            [_FIND.format("find"), "variant.launches(context, recorder, variant.kernels);"],
        )

    def _output_types(self) -> Iterator[str]:
        """Yield the body of output_types: the author's results for all input types, as a table."""
        if "output_types" not in self._spec.overrides:
            yield f"return {{{', '.join(self._plain_output_types())}}};"
            return
        yield "const std::int32_t attributes = attributes_of(context);"
        given = dict.fromkeys(
            (plain(one.variant.plugin), one.variant.plugin.present) for one in self._traced
        )
        for plugin, present in given:
            ports = zip(self._spec.inputs, present, strict=True)
            there = plugin.with_inputs(*(port.name for port, is_there in ports if is_there))
            yield f"if (attributes == {self._attributes.index(plugin)}) {{"
            yield from (f"    {line}" for line in _type_cases(there))
            yield "}"
        message = f"PK112 {self._spec.name}: no output types for these input types."
        yield f"throw Refusal({string_literal(message)});"

    def _plain_output_types(self) -> Iterator[str]:
        for port in self._spec.outputs:
            text = TYPES[port.dtypes[0]]
            for index, one in reversed(list(enumerate(self._spec.inputs))):
                if port.variable is not None and one.variable == port.variable:
                    bound = f"context.inputs[{index}].type"
                    is_there = f"context.inputs[{index}].is_present"
                    text = f"{is_there} ? {bound} : {text}" if one.optional else bound
            yield text

    def _program(self, type_row_count: int, modules: int) -> Iterator[str]:
        spec = self._spec
        tables = [
            ("kAttributes", len(spec.attributes)),
            ("kInputs", len(spec.inputs)),
            ("kOutputs", len(spec.outputs)),
            ("kTactics", len(spec.tactics)),
            ("kInputTypes", type_row_count),
            ("kModules", modules),
            ("kKernels", len(self._functions.kernels)),
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


def _type_cases(plugin: Plugin) -> Iterator[str]:
    """Yield the result of the author's output_types for each allowed combination of input types."""
    spec = plugin.spec
    ports = calls.device_ports(plugin)
    indices = [list(spec.inputs).index(port) for port in ports]
    for dtypes in product(*(port.dtypes for port in ports)):
        if not calls.dtypes_are_allowed(plugin, dtypes, ports):
            continue
        every = calls.with_shape_inputs(plugin, [()] * len(dtypes), dtypes)[1]
        condition = " && ".join(
            f"context.inputs[{index}].type == {TYPES[dtype]}"
            for index, dtype in zip(indices, dtypes, strict=True)
        )
        try:
            types = calls.output_types(plugin, calls.describe_dtypes(plugin, every))
            result = f"return {{{', '.join(TYPES[dtype] for dtype in types)}}};"
        except TensorError as error:
            result = f"throw Refusal({string_literal(str(error))});"
        yield f"if ({condition}) {{ {result} }}"
