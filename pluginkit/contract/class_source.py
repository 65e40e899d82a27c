"""Find what a Plugin class declares, and the line of a wrong declaration."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from typing import Any

from pluginkit.errors import DeclarationError


class ClassSource:
    """A Plugin class with its declared members, those of base classes first.

    Attributes:
        cls: the class.
        base: Plugin itself.
        declared: every member of the class and of the classes between it and Plugin, by name.
    """

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.base = cls.__mro__[-2]
        self.declared: dict[str, Any] = {}
        for klass in reversed(cls.__mro__[:-2]):
            self.declared.update(vars(klass))

    def members(self, kind: Any) -> list[tuple[str, Any]]:
        """Return the declared members of a kind, or of a tuple of kinds."""
        return [(name, value) for name, value in self.declared.items() if isinstance(value, kind)]

    def overrides(self, method: str) -> bool:
        """Whether the class, or one between it and Plugin, defines a method of Plugin's."""
        return getattr(self.cls, method, None) is not None and function_of(
            self.cls, method
        ) is not function_of(self.base, method)

    def error(self, code: str, name: str, message: str, fix: str) -> DeclarationError:
        """Return the error of a wrong declaration, with the line that declares ``name``."""
        return DeclarationError(
            code, f"{self.cls.__name__}: {message}", where=self.line_of(name), fix=fix
        )

    def line_of(self, name: str) -> str:
        """Return file, number and text of the line that declares ``name``, as far as known."""
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


def function_of(cls: type, method: str) -> Any:
    """Return what a class holds under a method's name, unbound."""
    member = inspect.getattr_static(cls, method, None)
    return getattr(member, "__func__", member)


def _body(source: str) -> list[ast.stmt]:
    """Return the statements of a class's body; none if its source does not parse by itself."""
    try:
        (tree,) = ast.parse(textwrap.dedent(source)).body
    except (SyntaxError, ValueError):
        return []
    return tree.body if isinstance(tree, ast.ClassDef) else []


def _names_bound(statement: ast.stmt) -> list[str]:
    """Return the names that a statement of a class's body declares."""
    if isinstance(statement, ast.FunctionDef):
        return [statement.name]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    nodes = [node for target in targets if target for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]
