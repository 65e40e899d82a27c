"""A plugin for an ONNX operator: declared to the end, with what only its author can write open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pluginkit.scaffold.example_plugin import kernel_file
from pluginkit.scaffold.names import port_name
from pluginkit.scaffold.onnx_schema import Attribute, Operator, Port
from pluginkit.scaffold.python_text import WIDTH, call, dtypes_expression, imports, name_of, section


@dataclass(frozen=True)
class _Method:
    """A method that is left to the author.

    Attributes:
        name: its name.
        parameters: their annotated names, without self.
        returns: its annotation.
        doc: what it is for.
        task: what to write.
    """

    name: str
    parameters: tuple[str, ...]
    returns: str
    doc: str
    task: str

    def text(self, plugin: str) -> str:
        """Its source."""
        is_class = self.name == "cases"
        first = "cls" if is_class else "self"
        head = call(f"def {self.name}(", [first, *self.parameters], f") -> {self.returns}:", "    ")
        message = f'"{plugin}.{self.name}: {self.task}"'
        body = call("raise NotImplementedError(", [message], ")", " " * 8)
        return ("    @classmethod\n" * is_class) + f'{head}\n        """{self.doc}"""\n{body}\n'


@dataclass(frozen=True)
class Skeleton:
    """What is written for an operator.

    Attributes:
        name: the plugin's class.
        module: its module.
        kernel: ``"cuda"`` or ``"numba"``.
        operator: what it implements.
        is_data_dependent: whether kernels write a size, which is a dimension of an output.
    """

    name: str
    module: str
    kernel: str
    operator: Operator
    is_data_dependent: bool = False

    @property
    def tasks(self) -> list[str]:
        """What is left to the author, as ``method: what to write``."""
        return [f"{method.name}: {method.task}" for method in self._methods()]

    @property
    def _sizes(self) -> tuple[str, ...]:
        """The name of the size that kernels write, if they do."""
        if not self.is_data_dependent:
            return ()
        taken = _names(self.operator.ports) + [one.name for one in self.operator.attributes]
        return (port_name("count", taken),)

    def module_text(self) -> str:
        """The plugin's module."""
        language = "CUDA C++" if self.kernel == "cuda" else "numba.cuda"
        methods = "\n".join(method.text(self.name) for method in self._methods())
        return f'''"""{self.name}, {self.operator}, with its kernel in {language}."""

from __future__ import annotations

from collections.abc import {"Iterable, Sequence" if self.operator.has_open_types else "Iterable"}

import numpy as np
{imports("pluginkit", self._imports())}
{self._more_imports()}

class {self.name}(Plugin):
{self._docstring()}

{self._declaration()}

{methods}'''

    def kernel_text(self) -> str:
        """The kernel's file, which does not compile as it is."""
        op = self.operator
        if self.kernel == "numba":
            names = [*_names(op.outputs), *self._sizes, *_names(op.inputs)]
            head = call(f"def {self.module}_kernel(", names, "):")
            return f'''"""The kernel of {self.name}; only this file imports numba."""


{head}
    """Fill the outputs; ``numba.cuda.grid(1)`` is the thread's number."""
    raise NotImplementedError("write the kernel of {self.name}")
'''
        variables = list(op.variables)
        template = f"template <{', '.join(f'typename {each}' for each in variables)}>\n"
        head = template if variables else 'extern "C" '
        arguments = [f"{_cpp(port)}* {port.name}" for port in op.outputs]
        arguments += [f"int* {name}" for name in self._sizes]
        arguments += [f"const {_cpp(port)}* {port.name}" for port in op.inputs]
        parameters = (", " if len(arguments) <= 4 else ",\n    ").join(arguments)
        return f"""#include <cuda_bf16.h>
#include <cuda_fp16.h>

// {op}: add the sizes and attributes that it needs to the arguments.
{head}__global__ void {self.module}_kernel({parameters}) {{
#error "write the kernel of {self.name}"
}}
"""

    def _imports(self) -> Iterator[str]:
        yield from ("Case", "Input", "Launch", "Output", "Plugin", "TensorDesc")
        yield "CudaKernel" if self.kernel == "cuda" else "NumbaKernel"
        op = self.operator
        if op.since:
            yield "OnnxOp"
        if op.attributes:
            yield "attribute"
        if self.is_data_dependent:
            yield "SizeOutput"
        for port in op.ports:
            expression = dtypes_expression(port.dtypes)
            named = [each for each in ("OUTPUT_TYPES", "FLOAT_TYPES") if each in expression]
            yield from named or map(name_of, port.dtypes)
            if "bool_" in expression:
                yield "bool_"

    def _more_imports(self) -> str:
        lines = []
        if self.operator.has_open_shapes:
            lines.append("from pluginkit.contract.dims import Shape\n")
        if self.operator.has_open_types:
            lines.append("from pluginkit.contract.dtypes import DType\n")
        return "".join(lines)

    def _docstring(self) -> str:
        op = self.operator
        formula = call(
            f"{', '.join(port.name for port in op.outputs)} = {op.op_type}(",
            [port.name for port in op.inputs],
            ")",
            "    ",
        )
        parts = [
            section("Inputs", map(_described, op.inputs)),
            section("Outputs", [*map(_described, op.outputs), *map(_measured, self._sizes)]),
        ]
        if op.attributes:
            parts.append(section("Attributes", map(_explained, op.attributes)))
        parts.append(section("Source", [f"{op}."]))
        return f'    """{op}.\n\n{formula}\n\n' + "\n".join(parts) + '\n    """'

    def _declaration(self) -> str:
        op = self.operator
        groups = []
        head = []
        if op.since:
            domain = f', domain="{op.domain}"' if op.domain else ""
            head.append(f'    onnx_op = OnnxOp("{op.op_type}", since={op.since}{domain})')
        if op.variables:
            items = [f'"{name}": {dtypes_expression(each)}' for name, each in op.variables.items()]
            head.append(_dict_text("types", items))
        groups.append(head)
        groups.append([_attribute_text(one) for one in op.attributes])
        groups.append(
            [f"    {port.name} = Input({_arguments(port)})" for port in op.inputs]
            + [f"    {port.name} = Output({_arguments(port)})" for port in op.outputs]
            + [f"    {size} = SizeOutput()" for size in self._sizes]
        )
        groups.append([self._kernel_declaration()])
        return "\n\n".join("\n".join(group) for group in groups if group)

    def _kernel_declaration(self) -> str:
        if self.kernel == "numba":
            return f'    kernel = NumbaKernel("kernel.py", "{self.module}_kernel")'
        variables = ", ".join(f"{{{each}}}" for each in self.operator.variables)
        expression = f"{self.module}_kernel" + (f"<{variables}>" if variables else "")
        arguments = [f'"{kernel_file(self.module, self.kernel)}"', f'"{expression}"']
        return call("kernel = CudaKernel(", arguments, ")", "    ")

    def _methods(self) -> Iterator[_Method]:
        op = self.operator
        inputs = tuple(f"{port.name}: {_optional('TensorDesc', port)}" for port in op.inputs)
        outputs = tuple(f"{name}: TensorDesc" for name in (*_names(op.outputs), *self._sizes))
        arrays = tuple(f"{port.name}: {_optional('np.ndarray', port)}" for port in op.inputs)
        count = len(op.outputs)
        if op.has_open_types:
            yield _Method(
                "output_types", inputs, "Sequence[DType]", "The outputs' dtypes.",
                "return a dtype for each output",
            )  # fmt: skip
        if op.has_open_shapes:
            yield _Method(
                "output_shapes", inputs, "Shape" if count == 1 else _tuple("Shape", count),
                "The outputs' shapes, as expressions of the inputs'.",
                _task_of_shapes(self._sizes),
            )  # fmt: skip
        yield _Method(
            "launches", inputs + outputs, "Launch", "What to launch for concrete shapes.",
            "write the kernel and return its Launch",
        )  # fmt: skip
        yield _Method(
            "reference", arrays, "np.ndarray" if count == 1 else _tuple("np.ndarray", count),
            "What numpy does.", "compute the outputs with numpy",
        )  # fmt: skip
        yield _Method(
            "cases", (), "Iterable[Case]", "What checks and benchmarks call it with.",
            "yield Case(name, [array of each input], attributes)",
        )  # fmt: skip


def _task_of_shapes(sizes: Sequence[str]) -> str:
    if not sizes:
        return "return the shape of each output"
    return f"return the shapes, one with self.{sizes[0]}.up_to(most)"


def _names(ports: Sequence[Port]) -> list[str]:
    return [port.name for port in ports]


def _tuple(item: str, count: int) -> str:
    return f"tuple[{', '.join([item] * count)}]"


def _optional(annotation: str, port: Port) -> str:
    return f"{annotation} | None" if port.is_optional else annotation


def _cpp(port: Port) -> str:
    return port.variable or port.dtypes[0].cpp


def _arguments(port: Port) -> str:
    types = f'"{port.variable}"' if port.variable else name_of(port.dtypes[0])
    optional = ", optional=True" if port.is_optional else ""
    return types + optional + (f', like="{port.like}"' if port.like else "")


def _described(port: Port) -> str:
    dtypes = " | ".join(dtype.name for dtype in port.dtypes)
    if port.like:
        return f"{port.name}: the shape of {port.like}, {dtypes}."
    return f"{port.name}: {dtypes}{', or absent' if port.is_optional else ''}."


def _measured(size: str) -> str:
    return f"{size}: int32, the size output."


def _explained(one: Attribute) -> str:
    return f"{one.name}: {one.annotation}, " + (
        f"default {one.default}." if one.default else "required."
    )


def _attribute_text(one: Attribute) -> str:
    items = [f"default={one.default}"] if one.default else []
    remark = "" if one.name.islower() else "  # noqa: N815  # ONNX's name"
    return call(f"{one.name}: {one.annotation} = attribute(", items, ")", "    ") + remark


def _dict_text(name: str, items: Sequence[str]) -> str:
    one_line = f"    {name} = {{{', '.join(items)}}}"
    if len(one_line) <= WIDTH:
        return one_line
    return f"    {name} = {{\n" + "".join(f"        {item},\n" for item in items) + "    }"
