"""Remove branches whose sides differ only in numbers: an expression chooses the number instead.

if n > 4: launch(k, grid=4)  else: launch(k, grid=n)   ->   launch(k, grid=n > 4 ? 4 : n)
if a: X  else: if b: X  else: Y                         ->   if a or b: X  else: Y
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from pluginkit.export.trace.path import TraceTable
from pluginkit.export.trace.tree import Branch, Leaf, Tree
from pluginkit.tracing.expressions import Expr

T = TypeVar("T")

#: The most choices between numbers in one list of steps; with more, branches read better.
_MOST_CHOICES = 8


class _DifferentError(Exception):
    """Two results differ in more than numbers."""


def simplified(table: TraceTable, tree: Tree[T]) -> Tree[T]:
    """Return a tree with the same results and fewer branches."""
    if isinstance(tree, Leaf):
        return tree
    if_true, if_false = simplified(table, tree.if_true), simplified(table, tree.if_false)
    if if_true == if_false:
        return if_true
    try:
        return _joined(table, tree.condition, if_true, if_false)
    except _DifferentError:
        pass
    return _combined(table, Branch(tree.condition, if_true, if_false))


def _joined(table: TraceTable, condition: Expr, one: Tree[T], other: Tree[T]) -> Tree[T]:
    """Join the sides of a branch with equal conditions and results that differ only in numbers."""
    if isinstance(one, Leaf) and isinstance(other, Leaf):
        return Leaf(_Joining(table, condition).join(one.result, other.result))
    if isinstance(one, Branch) and isinstance(other, Branch) and one.condition is other.condition:
        if_true = _joined(table, condition, one.if_true, other.if_true)
        if_false = _joined(table, condition, one.if_false, other.if_false)
        return Branch(one.condition, if_true, if_false)
    raise _DifferentError


def _combined(table: TraceTable, branch: Branch[T]) -> Branch[T]:
    """Replace two nested branches that share a side by one."""
    condition, one, other = branch.condition, branch.if_true, branch.if_false
    if isinstance(other, Branch):
        if other.if_true == one:
            either = table.apply("either", condition, other.condition)
            return Branch(either, one, other.if_false)
        if other.if_false == one:
            either = table.apply("either", condition, table.apply("not", other.condition))
            return Branch(either, one, other.if_true)
    if isinstance(one, Branch):
        if one.if_false == other:
            return Branch(table.apply("both", condition, one.condition), one.if_true, other)
        if one.if_true == other:
            both = table.apply("both", condition, table.apply("not", one.condition))
            return Branch(both, one.if_false, other)
    return branch


class _Joining:
    """Joins two results that differ only in numbers into one that chooses the numbers."""

    def __init__(self, table: TraceTable, condition: Expr) -> None:
        self._table = table
        self._condition = condition
        self._chosen: set[Expr] = set()

    def join(self, one: Any, other: Any) -> Any:
        if one is other:
            return one
        if isinstance(one, Expr) and isinstance(other, Expr):
            joined = self._table.apply("where", self._condition, one, other)
            self._chosen |= _choices(joined)
            if len(self._chosen) > _MOST_CHOICES:
                raise _DifferentError
            return joined
        if type(one) is not type(other):
            raise _DifferentError
        if isinstance(one, tuple):
            if len(one) != len(other):
                raise _DifferentError
            return tuple(self.join(a, b) for a, b in zip(one, other, strict=True))
        if dataclasses.is_dataclass(one) and type(one).__module__ == _STEPS:
            fields = [field.name for field in dataclasses.fields(one)]
            members = {name: self.join(getattr(one, name), getattr(other, name)) for name in fields}
            rebuilt: Any = type(one)
            return rebuilt(**members)
        if one != other:
            raise _DifferentError
        return one


def _choices(expr: Expr) -> set[Expr]:
    """Return the choices in an expression, without those inside its conditions."""
    if expr.op != "where":
        return set()
    return {expr} | _choices(expr.operands[1]) | _choices(expr.operands[2])


_STEPS = "pluginkit.export.trace.steps"
