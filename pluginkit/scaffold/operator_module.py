"""Generate a plugin for an ONNX operator: a complete declaration, and methods to write."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pluginkit.scaffold.declaration_text import (
    WIDTH,
    attribute_text,
    cpp_type,
    described_port,
    dtype_name,
    dtypes_expression,
    explained_attribute,
    import_order,
    names_of,
    optional_of,
    port_arguments,
    rows,
    section_text,
    task_of_shapes,
    tuple_of,
)
from pluginkit.scaffold.fill_template import fill_template
from pluginkit.scaffold.names import kernel_file, port_name
from pluginkit.scaffold.operator_declaration import Operator


@dataclass(frozen=True)
class _Method:
    """A method that the author must write.

    Attributes:
        name: its name.
        parameters: their annotated names, without self.
        returns: its annotation.
        doc: its docstring.
        task: what the author must write.
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
            parameters=rows(self.parameters, 8),
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
        operator: the operator that it implements.
        is_data_dependent: whether kernels write a size, which is a dimension of an output.
        case: the body of ``cases``; "" if the author must write it.
    """

    name: str
    module: str
    kernel: str
    operator: Operator
    is_data_dependent: bool = False
    case: str = ""

    @property
    def tasks(self) -> list[str]:
        """What the author must write, as ``method: what to write``."""
        return [f"{method.name}: {method.task}" for method in self._methods()]

    @property
    def _sizes(self) -> tuple[str, ...]:
        """The name of the size that kernels write, if there is one."""
        if not self.is_data_dependent:
            return ()
        taken = names_of(self.operator.ports) + [one.name for one in self.operator.attributes]
        return (port_name("count", taken),)

    def module_text(self) -> str:
        """Return the plugin's module."""
        return fill_template(
            "operator.py",
            name=self.name,
            operator=self.operator,
            language="CUDA C++" if self.kernel == "cuda" else "numba.cuda",
            from_abc="Iterable, Sequence" if self.operator.has_open_types else "Iterable",
            imports=rows(sorted(set(self._imports()), key=import_order), 4),
            formula=self._formula(),
            sections=self._sections(),
            declaration=self._declaration(),
            methods="\n".join(self._method_texts()).rstrip(),
        )

    def kernel_text(self) -> str:
        """Return the kernel's file, which does not compile until the author has completed it."""
        op = self.operator
        if self.kernel == "numba":
            names = [*names_of(op.outputs), *self._sizes, *names_of(op.inputs)]
            return fill_template(
                "operator_kernel.py",
                name=self.name,
                module=self.module,
                parameters=rows(names, 4),
            )
        variables = ", ".join(f"typename {each}" for each in op.variables)
        arguments = [f"{cpp_type(port)}* {port.name}" for port in op.outputs]
        arguments += [f"int* {name}" for name in self._sizes]
        arguments += [f"const {cpp_type(port)}* {port.name}" for port in op.inputs]
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
            yield from named or map(dtype_name, port.dtypes)
            if "bool_" in expression:
                yield "bool_"

    def _formula(self) -> str:
        op = self.operator
        formula = (
            f"{', '.join(names_of(op.outputs))} = {op.op_type}({', '.join(names_of(op.inputs))})"
        )
        return textwrap.fill(formula, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)

    def _sections(self) -> str:
        op = self.operator
        sizes = [f"{size}: int32, the size output." for size in self._sizes]
        sections = {
            "Inputs": [*map(described_port, op.inputs)],
            "Outputs": [*map(described_port, op.outputs), *sizes],
            "Attributes": [*map(explained_attribute, op.attributes)],
            "Source": [f"{op}."],
        }
        return "\n".join(section_text(title, lines) for title, lines in sections.items() if lines)

    def _declaration(self) -> str:
        op = self.operator
        groups = []
        head = []
        if op.since:
            domain = f', domain="{op.domain}"' if op.domain else ""
            head.append(f'    onnx_op = OnnxOp("{op.op_type}", since={op.since}{domain})')
        if op.variables:
            items = [f'"{name}": {dtypes_expression(each)}' for name, each in op.variables.items()]
            head.append(f"    types = {{\n{rows(items, 8)}\n    }}")
        groups.append(head)
        groups.append([attribute_text(one) for one in op.attributes])
        groups.append(
            [f"    {port.name} = Input({port_arguments(port)})" for port in op.inputs]
            + [f"    {port.name} = Output({port_arguments(port)})" for port in op.outputs]
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

    def _method_texts(self) -> Iterator[str]:
        for method in self._methods():
            yield method.text(self.name)
        if self.case:
            yield fill_template("operator_case.py", case=self.case)

    def _methods(self) -> Iterator[_Method]:
        op = self.operator
        inputs = tuple(f"{port.name}: {optional_of('TensorDesc', port)}" for port in op.inputs)
        outputs = tuple(f"{name}: TensorDesc" for name in (*names_of(op.outputs), *self._sizes))
        arrays = tuple(f"{port.name}: {optional_of('np.ndarray', port)}" for port in op.inputs)
        count = len(op.outputs)
        if op.has_open_types:
            yield _Method(
                "output_types", inputs, "Sequence[DType]", "Return the dtypes of the outputs.",
                "return a dtype for each output",
            )  # fmt: skip
        if op.has_open_shapes:
            yield _Method(
                "output_shapes", inputs, "Shape" if count == 1 else tuple_of("Shape", count),
                "Return the shapes of the outputs, as expressions of those of the inputs.",
                task_of_shapes(self._sizes),
            )  # fmt: skip
        yield _Method(
            "launches", inputs + outputs, "Launch", "Return what to launch for concrete shapes.",
            "write the kernel and return its Launch",
        )  # fmt: skip
        yield _Method(
            "reference", arrays, "np.ndarray" if count == 1 else tuple_of("np.ndarray", count),
            "Compute the outputs with numpy.", "compute the outputs with numpy",
        )  # fmt: skip
        if self.case:
            return
        yield _Method(
            "cases", (), "Iterable[Case]", "Yield the inputs of checks and benchmarks.",
            "yield Case(name, [array of each input], attributes)",
        )  # fmt: skip
