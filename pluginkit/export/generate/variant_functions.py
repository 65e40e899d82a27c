"""Generate the C++ functions of a plugin's variants; variants with equal code share them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PluginSpec
from pluginkit.export.generate.cpp_expressions import Writer
from pluginkit.export.generate.cpp_names import local_name
from pluginkit.export.generate.shapes import ShapeWriter
from pluginkit.export.generate.tree_functions import (
    Leaves,
    body,
    constants_of,
    with_shared_launches,
)
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.export.trace.steps import TracedLaunch
from pluginkit.export.trace.tree import Leaf
from pluginkit.kernels.specialise import Specialisation
from pluginkit.tracing.expressions import Expr

_RECORDS = "void {name}(const Context& context, Recorder& recorder, const std::int32_t* kernels)"


@dataclass(frozen=True)
class FunctionNames:
    """The names of one variant's functions.

    Attributes:
        check, output_shapes, workspace_bytes, launches: the names.
        kernels: the kernels of ``launches``, as indices in the program's table of kernels.
    """

    check: str
    output_shapes: str
    workspace_bytes: str
    launches: str
    kernels: tuple[int, ...]


class VariantFunctions:
    """Generates the functions of all variants of one plugin class.

    Attributes:
        texts: the name of each function, by its text.
        kernels: the launched kernels, each with its declaration.
    """

    def __init__(self, spec: PluginSpec) -> None:
        self._spec = spec
        self.texts: dict[str, str] = {}
        self.kernels: dict[Specialisation, str] = {}

    def write(self, traced: TracedPlugin) -> FunctionNames:
        """Add the functions of a variant, unless another one has equal functions."""
        plugin = traced.variant.plugin
        seen = [
            index
            for index, port in enumerate(self._spec.inputs)
            if plugin.present[index] and port.is_on_device
        ]
        leaves = Leaves(seen)
        writer = Writer(dict(_names(traced)))
        inputs = self._locals(plugin)
        workspace = ["return 0;"]
        if traced.workspace_bytes is not None:
            workspace = body(traced.workspace_bytes, writer.inner(), leaves.number)
        check = body(traced.check, writer.inner(), leaves.check)
        shapes = ShapeWriter(plugin).lines(traced.output_shapes)

        def shared(launch: TracedLaunch) -> str:
            lines = body(Leaf((launch,)), writer.inner(), leaves.steps)
            return self._add("launch", _RECORDS, [*inputs, *lines])

        steps = with_shared_launches(traced.steps, shared)
        launches = body(steps, writer.inner(), leaves.steps)
        return FunctionNames(
            self._add("check", "std::string {name}(const Context& context)", [*inputs, *check]),
            self._add(
                "output_shapes",
                "std::vector<OutputShape> {name}(const Context& context)",
                [*inputs, *shapes],
            ),
            self._add(
                "workspace_bytes", "Dim {name}(const Context& context)", [*inputs, *workspace]
            ),
            self._add("launches", _RECORDS, [*inputs, *launches]),
            self._places(traced, leaves.kernels),
        )

    def _places(self, traced: TracedPlugin, numbers: Sequence[int]) -> tuple[int, ...]:
        declared = {
            number: launch.kernel
            for launch in traced.launches()
            for number in constants_of(launch.number)
        }
        for number in numbers:
            self.kernels.setdefault(traced.kernels[number], declared[number])
        order = list(self.kernels)
        return tuple(order.index(traced.kernels[number]) for number in numbers)

    def _locals(self, plugin: Plugin) -> list[str]:
        """Declare a name for each input; unused ones are removed later."""
        return [
            f"const Tensor& {local_name(port.name)} = context.inputs[{index}];"
            for index, port in enumerate(self._spec.inputs)
            if plugin.present[index]
        ]

    def _add(self, method: str, signature: str, lines: Sequence[str]) -> str:
        """Add a function unless there is one with equal code; return its name."""
        kept = list(_without_unused(lines))
        text = "\n".join([signature + " {", *(f"    {line}" for line in kept), "}"])
        text = text.replace("{", "{{").replace("}", "}}").replace("{{name}}", "{name}")
        number = sum(name.startswith(f"{method}_") for name in self.texts.values())
        return self.texts.setdefault(text, f"{method}_{number}")


def _names(traced: TracedPlugin) -> Iterator[tuple[Expr, str]]:
    """Yield names of expressions that are members of inputs; of equal ones the first counts."""
    found: dict[Expr, str] = {}
    for expr, (port, member) in traced.names.items():
        if not expr.is_constant:
            is_number = port == "context"  # all others are Dims
            text = f"Dim({port}.{member})" if is_number else f"{local_name(port)}.{member}"
            found.setdefault(expr, text)
    yield from found.items()


def _without_unused(lines: Sequence[str]) -> Iterator[str]:
    """Remove declarations of inputs that no other line mentions."""
    for index, line in enumerate(lines):
        declared = re.match(r"const Tensor& (\w+) = ", line)
        others = [*lines[:index], *lines[index + 1 :]]
        if declared is None or any(re.search(rf"\b{declared[1]}\b", other) for other in others):
            yield line
