"""Every test can fail, and helpers are imported one way."""

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: Calls that fail a test, by the beginning of their name: pytest's, numpy's and the helpers'.
CHECKS = ("assert_", "raises", "fail", "warns")


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def checks_something(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name.startswith(CHECKS):
                return True
    return False


def test_a_test_without_a_check_is_seen() -> None:
    (passes, fails) = ast.parse("def test_a():\n  f()\ndef test_b():\n  assert f()\n").body
    assert not checks_something(passes)
    assert checks_something(fails)


def test_every_test_checks_something() -> None:
    functions = {
        f"{path.relative_to(TESTS)}::{node.name}": node
        for path in TESTS.rglob("test_*.py")
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert len(functions) > 1000
    assert [name for name, node in functions.items() if not checks_something(node)] == []


def test_helpers_are_imported_from_tests_and_never_from_a_conftest() -> None:
    imports = [
        (str(path.relative_to(TESTS)), node)
        for path in TESTS.rglob("*.py")
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom)
    ]
    ours = [(path, node) for path, node in imports if (node.module or "").startswith("tests.")]
    assert len(ours) > 50
    assert [path for path, node in imports if node.level] == []
    assert [path for path, node in ours if str(node.module).endswith("conftest")] == []
    bare = {path.stem for path in TESTS.rglob("*.py")}
    assert [(path, node.module) for path, node in imports if node.module in bare] == []
