"""Fewer branches: where two answers lead to the same steps with other numbers, the numbers choose.

if n > 4: launch(k, grid=4)  else: launch(k, grid=n)   ->   launch(k, grid=n > 4 ? 4 : n)
if a: X  else: if b: X  else: Y                         ->   if a or b: X  else: Y
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from pluginkit.export.trace.expressions import Expr
from pluginkit.export.trace.path import Table
from pluginkit.export.trace.tree import Branch, Leaf, Tree

T = TypeVar("T")

#: Numbers that may differ between two results that are joined.
_MOST_DIFFERENCES = 16


class _DifferentError(Exception):
    """Two results differ in more than numbers."""


def simplified(table: Table, tree: Tree[T]) -> Tree[T]:
    """A tree of the same results with fewer branches."""
    if isinstance(tree, Leaf):
        return tree
    if_true, if_false = simplified(table, tree.if_true), simplified(table, tree.if_false)
    if if_true == if_false:
        return if_true
    if isinstance(if_true, Leaf) and isinstance(if_false, Leaf):
        try:
            joined = _Joining(table, tree.condition).join(if_true.result, if_false.result)
            return Leaf(joined)
        except _DifferentError:
            pass
    return _combined(table, Branch(tree.condition, if_true, if_false))


def _combined(table: Table, branch: Branch[T]) -> Branch[T]:
    """One branch in place of two that share a side."""
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
    """Joins two results: choices between their numbers, all else the same."""

    def __init__(self, table: Table, condition: Expr) -> None:
        self._table = table
        self._condition = condition
        self._differences = 0

    def join(self, one: Any, other: Any) -> Any:
        if one is other:
            return one
        if isinstance(one, Expr) and isinstance(other, Expr):
            self._differences += 1
            if self._differences > _MOST_DIFFERENCES:
                raise _DifferentError
            return self._table.apply("where", self._condition, one, other)
        if type(one) is not type(other):
            raise _DifferentError
        if isinstance(one, tuple):
            if len(one) != len(other):
                raise _DifferentError
            return tuple(self.join(a, b) for a, b in zip(one, other, strict=True))
        if dataclasses.is_dataclass(one) and type(one).__module__ == _STEPS:
            fields = [field.name for field in dataclasses.fields(one)]
            joined = {name: self.join(getattr(one, name), getattr(other, name)) for name in fields}
            return dataclasses.replace(one, **joined)  # type: ignore[type-var]
        if one != other:
            raise _DifferentError
        return one


_STEPS = "pluginkit.export.trace.steps"
