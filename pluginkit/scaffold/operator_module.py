"""Write a plugin for an ONNX operator: a complete declaration, and methods left to its author."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, DType, bool_
from pluginkit.scaffold.fill_template import fill_template
from pluginkit.scaffold.names import kernel_file, port_name
from pluginkit.scaffold.onnx_schema import Attribute, Operator, OperatorPort

#: Columns of a docstring's line.
WIDTH = 100


@dataclass(frozen=True)
class _Method:
    """A method that is left to the author.

    Attributes:
        name: its name.
        parameters: their annotated names, without self.
        returns: its annotation.
        doc: what it returns.
        task: what to write.
    """

    name: str
    parameters: tuple[str, ...]
    returns: str
    doc: str
    task: str

    def text(self, plugin: str) -> str:
        """Return its source."""
        if self.name == "cases":
            return fill_template("operator_cases.py", name=plugin, doc=self.doc, task=self.task)
        return fill_template(
            "operator_method.py",
            name=plugin,
            method=self.name,
            parameters=_rows(self.parameters, 8),
            returns=self.returns,
            doc=self.doc,
            task=self.task,
        )


@dataclass(frozen=True)
class Skeleton:
    """The files of a plugin for an operator.

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
        """What the author must write, as ``method: what to write``."""
        return [f"{method.name}: {method.task}" for method in self._methods()]

    @property
    def _sizes(self) -> tuple[str, ...]:
        """The name of the size that kernels write, if they do."""
        if not self.is_data_dependent:
            return ()
        taken = _names(self.operator.ports) + [one.name for one in self.operator.attributes]
        return (port_name("count", taken),)

    def module_text(self) -> str:
        """Return the plugin's module."""
        return fill_template(
            "operator.py",
            name=self.name,
            operator=self.operator,
            language="CUDA C++" if self.kernel == "cuda" else "numba.cuda",
            from_abc="Iterable, Sequence" if self.operator.has_open_types else "Iterable",
            imports=_rows(sorted(set(self._imports()), key=_import_order), 4),
            formula=self._formula(),
            sections=self._sections(),
            declaration=self._declaration(),
            methods="\n".join(method.text(self.name) for method in self._methods()).rstrip(),
        )

    def kernel_text(self) -> str:
        """Return the kernel's file, which does not compile before its author has written it."""
        op = self.operator
        if self.kernel == "numba":
            names = [*_names(op.outputs), *self._sizes, *_names(op.inputs)]
            return fill_template(
                "operator_kernel.py",
                name=self.name,
                module=self.module,
                parameters=_rows(names, 4),
            )
        variables = ", ".join(f"typename {each}" for each in op.variables)
        arguments = [f"{_cpp(port)}* {port.name}" for port in op.outputs]
        arguments += [f"int* {name}" for name in self._sizes]
        arguments += [f"const {_cpp(port)}* {port.name}" for port in op.inputs]
        return fill_template(
            "operator.cu",
            name=self.name,
            module=self.module,
            operator=op,
            head=f"template <{variables}>\n" if variables else 'extern "C" ',
            parameters=(", " if len(arguments) <= 4 else ",\n    ").join(arguments),
        )

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
        if op.has_open_shapes:
            yield "Shape"
        if op.has_open_types:
            yield "DType"
        for port in op.ports:
            expression = dtypes_expression(port.dtypes)
            named = [each for each in ("OUTPUT_TYPES", "FLOAT_TYPES") if each in expression]
            yield from named or map(_name_of, port.dtypes)
            if "bool_" in expression:
                yield "bool_"

    def _formula(self) -> str:
        op = self.operator
        formula = f"{', '.join(_names(op.outputs))} = {op.op_type}({', '.join(_names(op.inputs))})"
        return textwrap.fill(formula, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)

    def _sections(self) -> str:
        op = self.operator
        sizes = [f"{size}: int32, the size output." for size in self._sizes]
        sections = {
            "Inputs": [*map(_described, op.inputs)],
            "Outputs": [*map(_described, op.outputs), *sizes],
            "Attributes": [*map(_explained, op.attributes)],
            "Source": [f"{op}."],
        }
        return "\n".join(_section(title, lines) for title, lines in sections.items() if lines)

    def _declaration(self) -> str:
        op = self.operator
        groups = []
        head = []
        if op.since:
            domain = f', domain="{op.domain}"' if op.domain else ""
            head.append(f'    onnx_op = OnnxOp("{op.op_type}", since={op.since}{domain})')
        if op.variables:
            items = [f'"{name}": {dtypes_expression(each)}' for name, each in op.variables.items()]
            head.append(f"    types = {{\n{_rows(items, 8)}\n    }}")
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
        return f'    kernel = CudaKernel("{kernel_file(self.module, self.kernel)}", "{expression}")'

    def _methods(self) -> Iterator[_Method]:
        op = self.operator
        inputs = tuple(f"{port.name}: {_optional('TensorDesc', port)}" for port in op.inputs)
        outputs = tuple(f"{name}: TensorDesc" for name in (*_names(op.outputs), *self._sizes))
        arrays = tuple(f"{port.name}: {_optional('np.ndarray', port)}" for port in op.inputs)
        count = len(op.outputs)
        if op.has_open_types:
            yield _Method(
                "output_types", inputs, "Sequence[DType]", "Return the dtypes of the outputs.",
                "return a dtype for each output",
            )  # fmt: skip
        if op.has_open_shapes:
            yield _Method(
                "output_shapes", inputs, "Shape" if count == 1 else _tuple("Shape", count),
                "Return the shapes of the outputs, as expressions of those of the inputs.",
                _task_of_shapes(self._sizes),
            )  # fmt: skip
        yield _Method(
            "launches", inputs + outputs, "Launch", "Return what to launch for concrete shapes.",
            "write the kernel and return its Launch",
        )  # fmt: skip
        yield _Method(
            "reference", arrays, "np.ndarray" if count == 1 else _tuple("np.ndarray", count),
            "Compute the outputs with numpy.", "compute the outputs with numpy",
        )  # fmt: skip
        yield _Method(
            "cases", (), "Iterable[Case]", "Yield the inputs of checks and benchmarks.",
            "yield Case(name, [array of each input], attributes)",
        )  # fmt: skip


def _task_of_shapes(sizes: Sequence[str]) -> str:
    if not sizes:
        return "return the shape of each output"
    return f"return the shapes, one with self.{sizes[0]}.up_to(most)"


def _names(ports: Sequence[OperatorPort]) -> list[str]:
    return [port.name for port in ports]


def _tuple(item: str, count: int) -> str:
    return f"tuple[{', '.join([item] * count)}]"


def _optional(annotation: str, port: OperatorPort) -> str:
    return f"{annotation} | None" if port.is_optional else annotation


def _cpp(port: OperatorPort) -> str:
    return port.variable or port.dtypes[0].cpp


def _arguments(port: OperatorPort) -> str:
    types = f'"{port.variable}"' if port.variable else _name_of(port.dtypes[0])
    optional = ", optional=True" if port.is_optional else ""
    return types + optional + (f', like="{port.like}"' if port.like else "")


def _described(port: OperatorPort) -> str:
    dtypes = " | ".join(dtype.name for dtype in port.dtypes)
    if port.like:
        return f"{port.name}: the shape of {port.like}, {dtypes}."
    return f"{port.name}: {dtypes}{', or absent' if port.is_optional else ''}."


def _explained(one: Attribute) -> str:
    return f"{one.name}: {one.annotation}, " + (
        f"default {one.default}." if one.default else "required."
    )


def _attribute_text(one: Attribute) -> str:
    items = [f"default={one.default}"] if one.default else []
    remark = "" if one.name.islower() else "  # noqa: N815  # ONNX's name"
    return f"    {one.name}: {one.annotation} = attribute({', '.join(items)}){remark}"


def dtypes_expression(dtypes: Sequence[DType]) -> str:
    """Return dtypes as a declaration has them."""
    if tuple(dtypes) == OUTPUT_TYPES:
        return "OUTPUT_TYPES"
    if tuple(dtypes) == FLOAT_TYPES:
        return "FLOAT_TYPES"
    if tuple(dtypes) == (*OUTPUT_TYPES, bool_):
        return "(*OUTPUT_TYPES, bool_)"
    names = [_name_of(dtype) for dtype in dtypes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def _name_of(dtype: DType) -> str:
    """Return the name under which pluginkit exports a dtype."""
    return "bool_" if dtype is bool_ else dtype.name


def _import_order(name: str) -> tuple[int, str]:
    """Return a key for isort's order: constants, classes, then the rest; numbers by value."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, re.sub(r"\d+", lambda number: number[0].zfill(3), name)


def _rows(items: Iterable[str], indent: int) -> str:
    """Return a line for each item; ruff keeps lines that end in a comma apart."""
    return "\n".join(f"{' ' * indent}{item}," for item in items)


def _section(title: str, lines: Iterable[str]) -> str:
    """Return a section of a docstring: its title, then the lines in the column behind it."""
    width = WIDTH - 17
    rows = [row for line in lines for row in textwrap.wrap(line, width, subsequent_indent="    ")]
    return f"    {title + ':':<13}" + f"\n{' ' * 17}".join(rows)
