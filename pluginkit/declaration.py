"""Reads a Plugin class into its PluginSpec; a wrong declaration is an error that names the line."""

from __future__ import annotations

import difflib
import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any

from pluginkit.attributes import AttributeDeclaration, AttributeSpec, attribute_spec
from pluginkit.dtypes import DType, int32, int64
from pluginkit.errors import DeclarationError
from pluginkit.kernels.declare import CudaKernel, NumbaKernel
from pluginkit.spec import (
    MAX_RANK,
    RESERVED_ATTRIBUTES,
    Input,
    OnnxOp,
    Output,
    PluginSpec,
    Port,
    ShapeInput,
    SizeOutput,
)

Declared = Input | ShapeInput | Output | SizeOutput

OPTIONAL_METHODS = ("check", "output_types", "workspace_bytes", "launches", "enqueue", "cases")


def spec_from_class(cls: type) -> PluginSpec:
    """Read and check the declaration of a Plugin class.

    Errors:
        PK100 to PK109, as in docs/errors.md, each naming the line.
    """
    reader = _ClassReader(cls)
    types = reader.types()

    def ports(*kinds: type) -> tuple[Port, ...]:
        return tuple(reader.port(name, port, types) for name, port in reader.members(kinds))

    inputs = ports(Input, ShapeInput)
    outputs = ports(Output) + ports(SizeOutput)
    attributes = reader.attributes()
    spec = PluginSpec(
        name=cls.__name__,
        plugin_name=reader.text("plugin_name", f"{cls.__name__}_PK"),
        plugin_version=reader.text("plugin_version", "1"),
        plugin_namespace=reader.text("plugin_namespace", "pluginkit"),
        attributes=attributes,
        inputs=inputs,
        outputs=outputs,
        types=types,
        kernels=dict(reader.members((CudaKernel, NumbaKernel))),
        onnx_op=reader.onnx_op(),
        tactics=reader.tactics(),
        overrides=frozenset(name for name in OPTIONAL_METHODS if reader.overrides(name)),
        doc=inspect.cleandoc(str(cls.__doc__ or "")),
        module=cls.__module__,
    )
    reader.check_ports(spec)
    reader.check_aliases(spec)
    reader.check_names(spec)
    reader.check_tolerance()
    reader.check_methods(spec)
    reader.check_kernels(spec)
    return spec


class _ClassReader:
    """Reads one class, base classes' declarations first, and names the line that is wrong."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.base = cls.__mro__[-2]  # Plugin itself
        self.declared: dict[str, Any] = {}
        for klass in reversed(cls.__mro__[:-2]):
            self.declared.update(vars(klass))

    def error(self, code: str, name: str, message: str, fix: str) -> DeclarationError:
        return DeclarationError(
            code, f"{self.cls.__name__}: {message}", where=self._line_of(name), fix=fix
        )

    def _line_of(self, name: str) -> str:
        file = (
            getattr(sys.modules.get(self.cls.__module__), "__file__", None) or self.cls.__module__
        )
        try:
            lines, first = inspect.getsourcelines(self.cls)
        except (OSError, TypeError):
            return file
        for offset, line in enumerate(lines):
            words = line.replace(",", " ").replace(":", " ").replace("(", " ").split()
            if name in words[:12] and not line.lstrip().startswith(("#", '"')):
                return f"{file}:{first + offset}: {line.strip()}"
        return f"{file}:{first}"

    def overrides(self, method: str) -> bool:
        return getattr(self.cls, method, None) is not None and _function(
            self.cls, method
        ) is not _function(self.base, method)

    def members(self, kind: Any) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.declared.items() if isinstance(value, kind)]

    def text(self, name: str, default: str) -> str:
        value = self.cls.__dict__.get(name, None) or getattr(self.cls, name, "") or default
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise self.error(
                "PK107",
                name,
                f"{name} is {value!r}; expected a printable ASCII string.",
                f'write {name} = "..."',
            )
        return value

    def onnx_op(self) -> OnnxOp | None:
        op = getattr(self.cls, "onnx_op", None)
        if op is None or (
            isinstance(op, OnnxOp)
            and isinstance(op.op_type, str)
            and isinstance(op.domain, str)
            and isinstance(op.since, int)
        ):
            return op
        raise self.error(
            "PK107",
            "onnx_op",
            f"onnx_op is {op!r}; expected an OnnxOp.",
            'write onnx_op = OnnxOp("ScatterElements", since=18).',
        )

    def tactics(self) -> tuple[str, ...]:
        tactics = getattr(self.cls, "tactics", ())
        if (
            not isinstance(tactics, tuple)
            or not all(isinstance(name, str) and name for name in tactics)
            or len(set(tactics)) != len(tactics)
        ):
            raise self.error(
                "PK107",
                "tactics",
                f"tactics is {tactics!r}; expected a tuple of different names.",
                'write tactics = ("radix", "sort").',
            )
        return tactics

    def check_tolerance(self) -> None:
        tolerance = getattr(self.cls, "tolerance", {})
        if not isinstance(tolerance, Mapping) or not all(
            isinstance(dtype, DType) and isinstance(error, (int, float))
            for dtype, error in tolerance.items()
        ):
            raise self.error(
                "PK107",
                "tolerance",
                f"tolerance is {tolerance!r}; expected an error for each dtype.",
                "write tolerance = {pluginkit.float32: 1e-5}.",
            )

    def types(self) -> dict[str, tuple[DType, ...]]:
        types = {}
        declared = getattr(self.cls, "types", {})
        if not isinstance(declared, Mapping) or not all(isinstance(name, str) for name in declared):
            raise self.error(
                "PK103",
                "types",
                f"types is {declared!r}; expected a dict of type variables.",
                'write types = {"T": (pluginkit.float32, pluginkit.float16)}',
            )
        for variable, dtypes in declared.items():
            dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,)
            if not dtypes or not all(isinstance(dtype, DType) for dtype in dtypes):
                raise self.error(
                    "PK103",
                    "types",
                    f"types[{variable!r}] is {dtypes!r}; expected a tuple of pluginkit dtypes.",
                    'write types = {"T": (pluginkit.float32, pluginkit.float16)}',
                )
            types[variable] = dtypes
        return types

    def port(self, name: str, declared: Declared, types: Mapping[str, tuple[DType, ...]]) -> Port:
        constraint = declared.types
        variable = None
        if isinstance(constraint, str):
            if constraint not in types:
                near = difflib.get_close_matches(constraint, types, 1)
                raise self.error(
                    "PK103",
                    name,
                    f"'{name}' has the type variable '{constraint}', which types does not declare; "
                    f"expected one of {sorted(types)}.",
                    f"did you mean '{near[0]}'?"
                    if near
                    else f'add "{constraint}": (...) to types.',
                )
            variable, dtypes = constraint, types[constraint]
        else:
            dtypes = constraint if isinstance(constraint, tuple) else (constraint,)
            if not dtypes or not all(isinstance(dtype, DType) for dtype in dtypes):
                raise self.error(
                    "PK103",
                    name,
                    f"'{name}' has the type {constraint!r}; expected a type variable or dtypes.",
                    f'write {name} = {type(declared).__name__}("T"), or (pluginkit.float32).',
                )
        optional = isinstance(declared, Input) and declared.optional
        ranks = declared.ranks if isinstance(declared, Input) else (0, MAX_RANK)
        if not _are_ranks(ranks):
            raise self.error(
                "PK103",
                name,
                f"'{name}' has ranks {ranks}; expected 0 <= lowest <= highest <= 8.",
                f"write {name} = Input(..., ranks=(lowest, highest)).",
            )
        if not isinstance(declared, (ShapeInput, SizeOutput)):
            aliases = declared.aliases if isinstance(declared, Output) else ""
            return Port(name, variable, dtypes, optional, ranks, declared.doc, aliases=aliases)
        if not set(dtypes) <= {int32, int64}:
            raise self.error(
                "PK103",
                name,
                f"'{name}' is {', '.join(dtype.name for dtype in dtypes)}; "
                "TensorRT has shape and size tensors of int32 and int64 only.",
                f"write {name} = {type(declared).__name__}(types=pluginkit.int64).",
            )
        if isinstance(declared, SizeOutput):
            return Port(name, variable, dtypes, False, (0, 0), declared.doc, is_size=True)
        if not isinstance(declared.length, int) or declared.length < 1:
            raise self.error(
                "PK103",
                name,
                f"'{name}' has length {declared.length!r}; expected the number of its values.",
                f"write {name} = ShapeInput(length=1).",
            )
        return Port(name, variable, dtypes, False, (1, 1), declared.doc, declared.length)

    def attributes(self) -> tuple[AttributeSpec, ...]:
        hints = self._annotations()
        specs = []
        for name, declared in self.members(AttributeDeclaration):
            if name not in hints:
                raise self.error(
                    "PK101",
                    name,
                    f"attribute '{name}' has no type.",
                    f"write {name}: int = attribute(...)",
                )
            try:
                specs.append(attribute_spec(self.cls.__name__, name, hints[name], declared))
            except DeclarationError as error:
                error.where = self._line_of(name)
                raise
        return tuple(specs)

    def _annotations(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self.cls)
        except (NameError, TypeError, SyntaxError, AttributeError, LookupError) as error:
            raise self.error(
                "PK101",
                "attribute",
                f"an annotation cannot be read: {error}.",
                "import what the annotation names outside `if TYPE_CHECKING`.",
            ) from error

    def check_ports(self, spec: PluginSpec) -> None:
        has_input = any(port.length is None for port in spec.inputs)
        if not has_input or not spec.results:
            missing = "Output" if has_input else "Input"
            raise self.error(
                "PK100",
                "class",
                f"declares no {missing}; expected at least one.",
                f"add an {missing}.",
            )
        used = {port.variable for port in spec.inputs + spec.outputs}
        for variable in spec.types:
            if variable not in used:
                raise self.error(
                    "PK103",
                    "types",
                    f"types declares '{variable}', which no input or output uses.",
                    "remove it.",
                )
        if "output_types" in spec.overrides:
            return
        inputs = {port.variable for port in spec.inputs if not port.optional}
        for port in spec.outputs:
            if port.variable not in inputs and len(port.dtypes) > 1:
                raise self.error(
                    "PK103",
                    port.name,
                    f"the type of output '{port.name}' does not follow from a required input.",
                    "use such an input's type variable, a single dtype, or define output_types.",
                )

    def check_aliases(self, spec: PluginSpec) -> None:
        taken: set[str] = set()
        for output in spec.outputs:
            if not output.aliases:
                continue
            input_ = next((port for port in spec.inputs if port.name == output.aliases), None)
            if (
                input_ is None
                or input_.optional
                or input_.length is not None
                or (input_.variable, input_.dtypes) != (output.variable, output.dtypes)
                or input_.name in taken
            ):
                raise self.error(
                    "PK103",
                    output.name,
                    f"output '{output.name}' aliases {output.aliases!r}; expected a required input "
                    "of its type that no other output aliases.",
                    f"name one of {[port.name for port in spec.inputs]}, or remove aliases.",
                )
            taken.add(input_.name)

    def check_names(self, spec: PluginSpec) -> None:
        ports = [port.name for port in spec.inputs + spec.outputs]
        for name in [*ports, *(attribute.name for attribute in spec.attributes)]:
            if (
                name in RESERVED_ATTRIBUTES
                or name in ("self", "workspace", "stream")
                or hasattr(self.base, name)
            ):
                raise self.error(
                    "PK107",
                    name,
                    f"'{name}' is a name that pluginkit uses itself.",
                    f"rename it, say to '{name}_'.",
                )

    def check_methods(self, spec: PluginSpec) -> None:
        if not self.overrides("output_shapes") or not self.overrides("reference"):
            missing = "reference" if self.overrides("output_shapes") else "output_shapes"
            raise self.error(
                "PK105", "class", f"has no {missing}().", f"define def {missing}(self, ...)."
            )
        if {"launches", "enqueue"} <= spec.overrides:
            raise self.error(
                "PK105",
                "enqueue",
                "defines both launches and enqueue; expected one.",
                "remove one.",
            )
        if not {"launches", "enqueue"} & spec.overrides:
            raise self.error(
                "PK105",
                "class",
                "defines neither launches nor enqueue.",
                "define launches(self, ...).",
            )
        inputs = [port.name for port in spec.inputs]
        everything = inputs + [port.name for port in spec.outputs]
        everything += ["workspace"] if "workspace_bytes" in spec.overrides else []
        expected = dict.fromkeys(
            ("check", "output_shapes", "output_types", "workspace_bytes", "reference"), inputs
        )
        expected |= {
            "launches": everything,
            "enqueue": ["inputs", "outputs", "workspace", "stream"],
        }
        for method, names in expected.items():
            if method in ("output_shapes", "reference") or method in spec.overrides:
                self._check_signature(method, names)

    def _check_signature(self, method: str, names: list[str]) -> None:
        function = _function(self.cls, method)
        if not inspect.isfunction(function):
            raise self.error(
                "PK105",
                method,
                f"{method} is {function!r}; expected a method.",
                f"write def {method}(self, {', '.join(names)}).",
            )
        parameters = list(inspect.signature(function).parameters.values())[1:]
        if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
            return
        got = [parameter.name for parameter in parameters]
        if got != names:
            raise self.error(
                "PK105",
                method,
                f"{method}(self, {', '.join(got)}) does not take what the class declares; "
                f"expected {method}(self, {', '.join(names)}).",
                f"write def {method}(self, {', '.join(names)}).",
            )

    def check_kernels(self, spec: PluginSpec) -> None:
        known = set(spec.types) | {attribute.name for attribute in spec.attributes}
        for name, kernel in spec.kernels.items():
            kernel.locate(self.cls)
            if not isinstance(kernel, CudaKernel):
                continue
            try:
                placeholders = kernel.placeholders
            except ValueError as error:
                raise self.error(
                    "PK106", name, f"kernel name '{kernel.name}': {error}.", "balance the braces."
                ) from None
            for placeholder in placeholders - known - set(kernel.constants):
                raise self.error(
                    "PK106",
                    name,
                    f"kernel name '{kernel.name}' uses {{{placeholder}}}; expected a type, "
                    f"attribute or constant: {sorted(known | set(kernel.constants))}.",
                    "declare it, or correct its name.",
                )


def _are_ranks(ranks: Any) -> bool:
    return (
        isinstance(ranks, tuple)
        and len(ranks) == 2
        and all(isinstance(rank, int) for rank in ranks)
        and 0 <= ranks[0] <= ranks[1] <= MAX_RANK
    )


def _function(cls: type, method: str) -> Any:
    member = inspect.getattr_static(cls, method, None)
    return getattr(member, "__func__", member)
