"""What the members of a Plugin class declare, one by one."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
import textwrap
import typing
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pluginkit.contract.attributes import AttributeDeclaration, AttributeSpec, attribute_spec
from pluginkit.contract.dtypes import DType, int32, int64
from pluginkit.contract.spec import MAX_RANK, Input, OnnxOp, Output, Port, ShapeInput, SizeOutput
from pluginkit.errors import DeclarationError

Declared = Input | ShapeInput | Output | SizeOutput


class ClassReader:
    """Reads one class, base classes' declarations first, and names the line that is wrong."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.base = cls.__mro__[-2]  # Plugin itself
        self.declared: dict[str, Any] = {}
        for klass in reversed(cls.__mro__[:-2]):
            self.declared.update(vars(klass))

    def error(self, code: str, name: str, message: str, fix: str) -> DeclarationError:
        """A wrong declaration, at the line that names ``name``."""
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
        body = _body("".join(lines))
        for statement in body:
            if name in _names_bound(statement):
                offset = statement.lineno - 1
                return f"{file}:{first + offset}: {lines[offset].strip()}"
        documented = body[0].end_lineno or 0 if body and isinstance(body[0], ast.Expr) else 0
        for offset, line in enumerate(lines[documented:], documented):
            words = line.replace(",", " ").replace(":", " ").replace("(", " ").split()
            if name in words[:12] and not line.lstrip().startswith(("#", '"')):
                return f"{file}:{first + offset}: {line.strip()}"
        return f"{file}:{first}"

    def overrides(self, method: str) -> bool:
        """Whether the class, or one between it and Plugin, defines a method of Plugin's."""
        return getattr(self.cls, method, None) is not None and function_of(
            self.cls, method
        ) is not function_of(self.base, method)

    def members(self, kind: Any) -> list[tuple[str, Any]]:
        """The declared members of a kind, or of several."""
        return [(name, value) for name, value in self.declared.items() if isinstance(value, kind)]

    def text(self, name: str, default: str) -> str:
        """A member that is text, ``default`` where it is not set."""
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
        """The ONNX operator, or None."""
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
        """The names of the tactics."""
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

    def types(self) -> dict[str, tuple[DType, ...]]:
        """The type variables."""
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
        """One input or output."""
        variable, dtypes = self._constraint(name, declared, types)
        if isinstance(declared, Input):
            if not _are_ranks(declared.ranks):
                raise self.error(
                    "PK103",
                    name,
                    f"'{name}' has ranks {declared.ranks}; expected 0 <= lowest <= highest <= 8.",
                    f"write {name} = Input(..., ranks=(lowest, highest)).",
                )
            return Port(name, variable, dtypes, declared.optional, declared.ranks, declared.doc)
        if isinstance(declared, Output):
            port = Port(name, variable, dtypes, False, (0, MAX_RANK), declared.doc)
            return replace(port, like=declared.like or declared.aliases, aliases=declared.aliases)
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

    def _constraint(
        self, name: str, declared: Declared, types: Mapping[str, tuple[DType, ...]]
    ) -> tuple[str | None, tuple[DType, ...]]:
        """The type variable, if there is one, and the dtypes."""
        constraint = declared.types
        if isinstance(constraint, str):
            if constraint in types:
                return constraint, types[constraint]
            near = difflib.get_close_matches(constraint, types, 1)
            raise self.error(
                "PK103",
                name,
                f"'{name}' has the type variable '{constraint}', which types does not declare; "
                f"expected one of {sorted(types)}.",
                f"did you mean '{near[0]}'?" if near else f'add "{constraint}": (...) to types.',
            )
        dtypes = constraint if isinstance(constraint, tuple) else (constraint,)
        if not dtypes or not all(isinstance(dtype, DType) for dtype in dtypes):
            raise self.error(
                "PK103",
                name,
                f"'{name}' has the type {constraint!r}; expected a type variable or dtypes.",
                f'write {name} = {type(declared).__name__}("T"), or (pluginkit.float32).',
            )
        return None, dtypes

    def attributes(self) -> tuple[AttributeSpec, ...]:
        """The attributes."""
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


def _are_ranks(ranks: Any) -> bool:
    return (
        isinstance(ranks, tuple)
        and len(ranks) == 2
        and all(isinstance(rank, int) for rank in ranks)
        and 0 <= ranks[0] <= ranks[1] <= MAX_RANK
    )


def function_of(cls: type, method: str) -> Any:
    """What a class has under a method's name, unbound."""
    member = inspect.getattr_static(cls, method, None)
    return getattr(member, "__func__", member)


def _body(source: str) -> list[ast.stmt]:
    """The statements of a class's body; none where its source cannot be read by itself."""
    try:
        (tree,) = ast.parse(textwrap.dedent(source)).body
    except (SyntaxError, ValueError):
        return []
    return tree.body if isinstance(tree, ast.ClassDef) else []


def _names_bound(statement: ast.stmt) -> list[str]:
    """What a statement of a class's body declares."""
    if isinstance(statement, ast.FunctionDef):
        return [statement.name]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    nodes = [node for target in targets if target for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]
