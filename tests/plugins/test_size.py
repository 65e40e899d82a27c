"""A shipped plugin's ``__init__.py`` is short, since the framework does what plugins would repeat.

The test counts the lines of code that the class needs. It leaves out docstrings, comments, the
declarations of kernels, ``reference`` and ``cases``, and imports and helpers that only those use.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).parents[2] / "plugins").glob("[!_]*/__init__.py"))
LIMIT = 60

LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines_of(node: ast.AST) -> set[int]:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return set(range(first, node.end_lineno + 1))


def lines_of_code(source: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spans = [(token.start[0], token.end[0]) for token in tokens if token.type not in LAYOUT]
    lines = {line for first, last in spans for line in range(first, last + 1)}
    for node in ast.walk(ast.parse(source)):
        has_body = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if has_body and ast.get_docstring(node):
            lines -= lines_of(node.body[0])
    return lines


def is_left_out(member: ast.AST) -> bool:
    if isinstance(member, ast.Assign) and isinstance(member.value, ast.Call):
        return ast.unparse(member.value.func) in ("CudaKernel", "NumbaKernel")
    return isinstance(member, ast.FunctionDef) and member.name in ("reference", "cases")


def names_in(nodes: list[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def definitions(module: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield the name and the node of each import, function and constant of a module."""
    for node in module.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name, alias) for alias in node.names)
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            yield from ((name, node) for name in names_in(list(node.targets)))


def size_of(source: str) -> int:
    module = ast.parse(source)
    (plugin,) = (node for node in module.body if isinstance(node, ast.ClassDef))
    needed: list[ast.AST] = [member for member in plugin.body if not is_left_out(member)]
    defined = dict(definitions(module))
    while missing := [defined.pop(name) for name in names_in(needed) & set(defined)]:
        needed += missing
    lines = set().union(*map(lines_of, needed)) | {plugin.lineno}
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and lines & lines_of(node):
            lines |= {node.lineno, node.end_lineno}
    return len(lines & lines_of_code(source))


def test_the_plugins_are_found_and_counted() -> None:
    assert len(MODULES) >= 8
    source = '''
"""Doc."""

from m import (
    A,
    B,
    CudaKernel,
    Plugin,
)
import numpy as np

C = np.zeros(
    3
)


def helper():
    """Doc."""
    return A


class P(Plugin):
    """Doc."""

    # a comment
    x = A
    kernel = CudaKernel(
        "k.cu",
    )

    def launches(self):
        return helper(C)

    @classmethod
    def cases(cls):
        return B
'''
    imports, constant, function, plugin = 3 + 1, 3, 2, 1 + 1 + 2
    assert size_of(source) == imports + constant + function + plugin


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.parent.name)
def test_a_plugin_is_short(path: Path) -> None:
    assert size_of(path.read_text()) < LIMIT
