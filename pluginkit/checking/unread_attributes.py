"""Find attributes that no method of a plugin class reads."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator

from pluginkit.contract.plugin import Plugin


def unread_attributes(plugin_class: type[Plugin]) -> list[str]:
    """Return the attributes that certainly no method and no kernel's name uses.

    The answer is uncertain, and empty, if a method passes ``self`` on or the source is not
    available. An attribute with a check, or with a single choice, may exist only to refuse other
    values.
    """
    spec = plugin_class.spec
    read = {
        name for kernel in spec.kernels.values() for name in re.findall(r"\{(\w+)\}", kernel.name)
    }
    for klass in plugin_class.__mro__[: plugin_class.__mro__.index(Plugin)]:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(klass)))
        except (OSError, TypeError, SyntaxError):
            return []
        for method in _methods(tree):
            names = [node.value for node in ast.walk(method) if isinstance(node, ast.Attribute)]
            bare = [
                node
                for node in ast.walk(method)
                if isinstance(node, ast.Name) and node.id == "self" and node not in names
            ]
            if bare:
                return []
            read |= {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute)}
    if read & {"attribute_values", "to_wire", "__dict__"}:
        return []
    return [
        one.name
        for one in spec.attributes
        if one.name not in read and one.check is None and len(one.choices or (0, 1)) > 1
    ]


def _methods(tree: ast.Module) -> Iterator[ast.AST]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return (node for node in ast.walk(tree) if isinstance(node, functions))
