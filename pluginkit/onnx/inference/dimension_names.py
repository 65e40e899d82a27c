"""Read dimensions that exporters name by expressions, such as ``2*n`` and ``past + seq``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

#: The min, opt and max of a dimension.
Extent = tuple[int, int, int]
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def names_in(dimension: str) -> frozenset[str]:
    """Return the names that an expression computes a dimension from; none for a plain name."""
    tree = _parsed(dimension)
    if tree is None:
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def range_of(dimension: str, known: Mapping[str, Extent]) -> Extent | None:
    """Return the range of an expression, from the ranges of the names in it.

    None if it is a plain name, if a name's range is unknown, or if the result is no range.
    """
    tree = _parsed(dimension)
    if tree is None or not names_in(dimension) <= known.keys():
        return None
    try:
        low, opt, high = (
            _value(tree, {name: extent[at] for name, extent in known.items()}) for at in range(3)
        )
    except ZeroDivisionError:
        return None
    return (low, opt, high) if 0 <= low <= opt <= high else None


def range_of_factor(dimension: str, extent: Extent) -> tuple[str, Extent] | None:
    """Return the name in ``2*n`` and its range, from the range of the product.

    None if the expression is no product of a number and a name, or the range is not divisible.
    """
    tree = _parsed(dimension)
    if not isinstance(tree, ast.BinOp) or not isinstance(tree.op, ast.Mult):
        return None
    name, number = tree.left, tree.right
    if isinstance(name, ast.Constant):
        name, number = number, name
    if not isinstance(name, ast.Name) or not isinstance(number, ast.Constant) or not number.value:
        return None
    factor = int(number.value)  # type: ignore[arg-type]  # _parsed allows no other constant
    if any(size % factor for size in extent):
        return None
    low, opt, high = (size // factor for size in extent)
    return name.id, (low, opt, high)


def _parsed(dimension: str) -> ast.expr | None:
    """Return an expression of names and whole numbers; None for anything else."""
    try:
        tree = ast.parse(dimension.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if isinstance(tree, ast.BinOp) and _is_plain(tree) else None


def _is_plain(tree: ast.expr) -> bool:
    if isinstance(tree, ast.BinOp):
        if isinstance(tree.op, ast.Sub) and isinstance(tree.right, ast.Name):
            return False  # a name with a hyphen, such as sequence-length
        return type(tree.op) in _OPERATORS and _is_plain(tree.left) and _is_plain(tree.right)
    return isinstance(tree, ast.Name) or (
        isinstance(tree, ast.Constant) and type(tree.value) is int
    )


def _value(tree: ast.expr, names: Mapping[str, int]) -> int:
    if isinstance(tree, ast.BinOp):
        compute = _OPERATORS[type(tree.op)]
        return compute(_value(tree.left, names), _value(tree.right, names))
    return names[tree.id] if isinstance(tree, ast.Name) else int(tree.value)  # type: ignore[attr-defined]
