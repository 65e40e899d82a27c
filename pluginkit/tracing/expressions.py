"""Integer expressions over the dimensions of one call; equal expressions are one object.

An expression records how a traced integer was computed. Constants are folded, and ``-(-a // b)``,
Python's idiom for rounding up, becomes ``ceil_div``, so that the generated C++ reads like the
author's code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Computes each operation on integers; comparisons give 0 or 1.
OPERATIONS: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floor_div": lambda a, b: a // b,
    "ceil_div": lambda a, b: -(-a // b),
    "mod": lambda a, b: a % b,
    "neg": lambda a: -a,
    "abs": abs,
    "max": max,
    "min": min,
    "shift_left": lambda a, b: a << b,
    "shift_right": lambda a, b: a >> b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "bit_length": lambda a: a.bit_length(),
    "less": lambda a, b: int(a < b),
    "less_equal": lambda a, b: int(a <= b),
    "equal": lambda a, b: int(a == b),
    "not": lambda a: int(not a),
    "both": lambda a, b: int(a and b),
    "either": lambda a, b: int(a or b),
    "where": lambda condition, a, b: a if condition else b,
    "select": lambda condition, a, b: a if condition else b,  # pluginkit.where
}


@dataclass(frozen=True, eq=False)
class Expr:
    """One expression.

    Attributes:
        number: its position among the expressions of its table.
        op: ``"constant"``, ``"symbol"`` or a key of OPERATIONS.
        operands: the operands of an operation.
        value: the value of a constant.
        name: the name of a symbol.
        bounds: the least and the largest value of a symbol.
    """

    number: int
    op: str
    operands: tuple[Expr, ...] = ()
    value: int = 0
    name: str = ""
    bounds: tuple[int, int] = (0, 0)

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant."""
        return self.op == "constant"

    def evaluate(self, values: Mapping[str, int], known: dict[Expr, int] | None = None) -> int:
        """Return the value of the expression for given values of its symbols.

        Args:
            values: the value of each symbol, by its name.
            known: results for the same values; the new ones are added.
        """
        known = {} if known is None else known
        if self not in known:
            known[self] = self._evaluated(values, known)
        return known[self]

    def _evaluated(self, values: Mapping[str, int], known: dict[Expr, int]) -> int:
        if self.op == "constant":
            return self.value
        if self.op == "symbol":
            return values[self.name]
        if self.op == "where":
            condition, first, second = self.operands
            chosen = first if condition.evaluate(values, known) else second
            return chosen.evaluate(values, known)
        if self.op in ("both", "either"):
            first, second = self.operands
            if bool(first.evaluate(values, known)) == (self.op == "either"):
                return int(self.op == "either")
            return second.evaluate(values, known)
        return OPERATIONS[self.op](*(each.evaluate(values, known) for each in self.operands))

    def __repr__(self) -> str:
        if self.is_constant:
            return str(self.value)
        return self.name or f"{self.op}({', '.join(map(repr, self.operands))})"


class Expressions:
    """Creates expressions; equal ones are the same object."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Expr] = {}
        self._numbers = itertools.count()

    def constant(self, value: int) -> Expr:
        """Return the expression of an integer."""
        key = "constant", value
        if key not in self._made:
            self._made[key] = self._new("constant", value=value)
        return self._made[key]

    def symbol(self, name: str, least: int, largest: int) -> Expr:
        """Return the expression of a dimension, or of another number known only at run time."""
        key = "symbol", name
        if key not in self._made:
            self._made[key] = self._new("symbol", name=name, bounds=(least, largest))
        return self._made[key]

    def apply(self, op: str, *operands: Expr) -> Expr:
        """Return the expression of an operation's result."""
        key = (op, *operands)
        known = self._made.get(key)
        if known is None:
            folded = self._folded(op, operands)
            self._made[key] = known = folded or self._new(op, operands)
        return known

    def _new(self, op: str, operands: tuple[Expr, ...] = (), **facts: Any) -> Expr:
        return Expr(next(self._numbers), op, operands, **facts)

    def _folded(self, op: str, operands: tuple[Expr, ...]) -> Expr | None:
        """Return a simpler expression with the same value, or None."""
        if all(operand.is_constant for operand in operands):
            return self.constant(OPERATIONS[op](*(operand.value for operand in operands)))
        if op in ("where", "select"):
            condition, first, second = operands
            if condition.is_constant:
                return first if condition.value else second
            return first if first is second else self._chosen(condition, first, second)
        if op == "not" and operands[0].op == "not":
            return operands[0].operands[0]
        if op == "neg":
            return self._negated(operands[0])
        if len(operands) == 2:
            return self._folded_pair(op, *operands)
        return None

    def _chosen(self, condition: Expr, first: Expr, second: Expr) -> Expr | None:
        """Simplify ``x == 1 ? 1 : x`` to ``x``."""
        if condition.op == "not":
            return self._chosen(condition.operands[0], second, first)
        is_same = condition.op == "equal" and {*condition.operands} == {first, second}
        return second if is_same else None

    def _negated(self, operand: Expr) -> Expr | None:
        if operand.op == "neg":
            return operand.operands[0]
        if operand.op == "floor_div":
            over, under = operand.operands
            if over.op == "neg" or (over.is_constant and over.value < 0):
                return self.apply("ceil_div", self.apply("neg", over), under)
        return None

    def _folded_pair(self, op: str, a: Expr, b: Expr) -> Expr | None:
        left = a.value if a.is_constant else None
        right = b.value if b.is_constant else None
        if op == "add" and left == 0:
            return b
        if op in ("add", "sub") and right == 0:
            return a
        if op == "sub" and left == 0:
            return self.apply("neg", b)
        if op in ("floor_div", "ceil_div") and right == 1:
            return a
        if op in ("max", "min") and a is b:
            return a
        return self._folded_product(a, b, left, right) if op == "mul" else None

    def _folded_product(self, a: Expr, b: Expr, left: int | None, right: int | None) -> Expr | None:
        if 0 in (left, right):
            return self.constant(0)
        if left == 1:
            return b
        if right == 1:
            return a
        if a.op == "neg":
            return self.apply("neg", self.apply("mul", a.operands[0], b))
        if b.op == "neg":
            return self.apply("neg", self.apply("mul", a, b.operands[0]))
        return None
