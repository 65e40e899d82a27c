"""Numbers that stand for dimensions and record each operation of an author's code.

``isinstance`` takes them for ints, but they are no subclass of ``int``: Python would read the value
of a subclass directly, and the trace would miss that use.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from pluginkit.tracing.expressions import Expr
from pluginkit.tracing.traced_path import TracedPath

VALUE_FIX = (
    "compute with +, -, *, //, %, min, max and comparisons; bound what a loop counts, or export "
    "for static shapes."
)
_FLOAT_FIX = "compute with integers: 4 * a > 5 * b in place of a > 1.25 * b."


class TracedBool:
    """The result of a comparison, which is decided when the code tests it."""

    def __init__(self, path: TracedPath, condition: Expr) -> None:
        self._path = path
        self.expr = condition

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return bool

    def __bool__(self) -> bool:
        return self._path.decide(self.expr)

    def choose(self, a: Any, b: Any) -> Any:
        """Return ``a`` if it is true, else ``b``, without a branch; see pluginkit.where."""
        known = self._path.answer(self.expr)
        if known is not None:
            return a if known else b
        operands = expr_of(self._path, a), expr_of(self._path, b)
        return traced(self._path, self._path.apply("select", self.expr, *operands))

    def may_hold(self) -> bool:
        """Whether nothing rules it out, without a branch; see pluginkit.may_hold."""
        return self._path.may_hold(self.expr)

    def _number(self) -> int:
        return int(bool(self))

    __int__ = __index__ = _number

    def __eq__(self, other: object) -> Any:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return repr(bool(self))

    def __invert__(self) -> int:
        return ~self._number()


class TracedInt:
    """An integer with an expression in place of a value."""

    def __init__(self, path: TracedPath, expr: Expr) -> None:
        self._path = path
        self.expr = expr

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int

    # Operations that return another traced number.

    def __neg__(self) -> Any:
        return self._applied("neg")

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self._applied("abs")

    def __invert__(self) -> Any:
        return -self - 1

    def bit_length(self) -> Any:
        """Return the number of bits, as int.bit_length."""
        return self._applied("bit_length")

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, exponent: Any) -> Any:
        if type(exponent) is int and 0 <= exponent <= 8:
            result: Any = 1
            for _ in range(exponent):
                result = result * self
            return result
        return self._path.refuse("a power of a dimension is taken", VALUE_FIX)

    def __round__(self, digits: int | None = None) -> Any:
        if digits is not None and digits < 0:
            self._path.refuse("a dimension is rounded", "compute (n + 5) // 10 * 10.")
        return self

    __trunc__ = __floor__ = __ceil__ = __pos__
    numerator = real = property(__pos__)

    def _applied(self, op: str, *others: Expr) -> Any:
        return traced(self._path, self._path.apply(op, self.expr, *others))

    # Operations that need the value.

    def __bool__(self) -> bool:
        return not self._path.decide(self._compared("equal", 0))

    def __int__(self) -> int:
        return self._path.converted(self.expr)

    def __index__(self) -> int:
        return self._path.value(self.expr)

    def __hash__(self) -> int:
        return hash(self._path.key(self.expr))

    def __float__(self) -> NoReturn:
        self._path.refuse(f"a dimension, {self.expr!r}, is made a float", _FLOAT_FIX)

    def __truediv__(self, other: Any) -> NoReturn:
        self.__float__()

    __rtruediv__ = __truediv__

    def __rpow__(self, base: Any) -> Any:
        if type(base) is int and base == 2:
            one = self._path.constant(1)
            return traced(self._path, self._path.apply("shift_left", one, self.expr))
        return self._path.refuse("a power by a dimension is taken", VALUE_FIX)

    # Formatting, as in an error's text.

    def __repr__(self) -> str:
        return self._path.mark(self.expr)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        if spec:
            self._path.refuse(f"a dimension is formatted with {spec!r}", "leave the format out.")
        return repr(self)

    # Comparisons.

    def _compared(self, op: str, other: Any, *, is_swapped: bool = False) -> Expr:
        right = expr_of(self._path, other)
        operands = (right, self.expr) if is_swapped else (self.expr, right)
        return self._path.apply(op, *operands)

    def _comparison(self, op: str, other: Any, is_swapped: bool, is_negated: bool) -> Any:
        if isinstance(other, float):
            self.__float__()
        if not isinstance(other, int):
            return NotImplemented
        condition = self._compared(op, other, is_swapped=is_swapped)
        if is_negated:
            condition = self._path.apply("not", condition)
        answer = self._path.answer(condition)
        return TracedBool(self._path, condition) if answer is None else answer

    def __eq__(self, other: object) -> Any:
        return self._comparison("equal", other, False, False)

    def __ne__(self, other: object) -> Any:
        return self._comparison("equal", other, False, True)

    def __lt__(self, other: Any) -> Any:
        return self._comparison("less", other, False, False)

    def __le__(self, other: Any) -> Any:
        return self._comparison("less_equal", other, False, False)

    def __gt__(self, other: Any) -> Any:
        return self._comparison("less", other, True, False)

    def __ge__(self, other: Any) -> Any:
        return self._comparison("less_equal", other, True, False)


def expr_of(path: TracedPath, value: Any) -> Expr:
    """Return the expression of a traced or plain integer."""
    if type(value) is TracedInt:
        return value.expr
    return path.constant(int(value))


def plain(value: Any) -> Any:
    """Return a value that no path traces: of a traced number the one that its path takes."""
    if type(value) is TracedBool:
        return bool(value)
    return operator.index(value) if type(value) is TracedInt else value


def traced(path: TracedPath, expr: Expr) -> Any:
    """Return the traced number of an expression, or a plain int if it is constant."""
    return expr.value if expr.is_constant else TracedInt(path, expr)


def _operator(op: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    is_division = op in ("floor_div", "mod")

    def combined(self: TracedInt, left: Any, right: Any) -> Any:
        path = self._path
        for one in (left, right):
            if isinstance(one, float):
                self.__float__()
            if not isinstance(one, int):
                return NotImplemented
        if is_division and right == 0:
            raise ZeroDivisionError("integer division or modulo by zero")
        return traced(path, path.apply(op, expr_of(path, left), expr_of(path, right)))

    def forward(self: TracedInt, other: Any) -> Any:
        return combined(self, self, other)

    def backward(self: TracedInt, other: Any) -> Any:
        return combined(self, other, self)

    return forward, backward


for _name, _op in (
    ("add", "add"),
    ("sub", "sub"),
    ("mul", "mul"),
    ("floordiv", "floor_div"),
    ("mod", "mod"),
    ("lshift", "shift_left"),
    ("rshift", "shift_right"),
    ("and", "and"),
    ("or", "or"),
    ("xor", "xor"),
):
    _forward, _backward = _operator(_op)
    setattr(TracedInt, f"__{_name}__", _forward)
    setattr(TracedInt, f"__r{_name}__", _backward)
