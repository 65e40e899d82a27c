"""Record what code computes from some numbers, to compute it from others without the code.

The code runs once, on numbers that note each operation. Each condition that it tests is answered as
the numbers demand, and noted too. What is noted becomes a Python function, which repeats the
operations in their order and gives up where an answer differs: then the code would go another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pluginkit.tracing.expressions import Expr, Expressions
from pluginkit.tracing.numbers import TracedBool, TracedInt

#: Python's form of each operation of :mod:`pluginkit.tracing.expressions`.
_FORMS = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floor_div": "{} // {}",
    "ceil_div": "-(-{} // {})", "mod": "{} % {}", "neg": "-{}", "abs": "abs({})",
    "shift_left": "{} << {}", "shift_right": "{} >> {}", "and": "{} & {}", "or": "{} | {}",
    "xor": "{} ^ {}", "bit_length": "{}.bit_length()", "less": "{} < {}",
    "less_equal": "{} <= {}", "equal": "{} == {}", "not": "not {}",
    "select": "{1} if {0} else {2}",
}  # fmt: skip


#: The most operations of one recording: code that does more is a loop, with another way for each
#: number of passes.
_MOST_OPERATIONS = 4000


class NotRecordableError(BaseException):
    """The code does what cannot be repeated; no ``except Exception`` of its own hides that."""


class Recording:
    """One run of code, as a :class:`~pluginkit.tracing.traced_path.TracedPath`."""

    def __init__(self) -> None:
        self._expressions = Expressions()
        self._values: dict[Expr, int] = {}
        self._names: dict[Expr, str] = {}
        self._parameters: list[str] = []
        self._lines: list[str] = []
        self._answered: set[Expr] = set()

    def number(self, value: int) -> Any:
        """Return a number that the recorded function will get."""
        name = f"n{len(self._parameters)}"
        symbol = self._expressions.symbol(name, 0, 0)
        self._parameters.append(name)
        self._values[symbol], self._names[symbol] = value, name
        return TracedInt(self, symbol)

    def function(self, body: Callable[[Callable[[Any], str]], Sequence[str]], **names: Any) -> Any:
        """Return the recorded function, which returns None where the code would go another way.

        Args:
            body: returns the last lines, from what gives a number's text.
            names: what those lines use.
        """
        lines = body(self._text)
        source = [f"def recorded({', '.join(self._parameters)}):", *self._lines, *lines]
        exec("\n    ".join(source), names)  # noqa: S102  # operations on numbers, noted above
        return names["recorded"]

    # What TracedInt and TracedBool ask.

    def constant(self, value: int) -> Expr:
        """Return the expression of an integer."""
        made = self._expressions.constant(value)
        self._values[made] = value
        return made

    def apply(self, op: str, *operands: Expr) -> Expr:
        """Return the expression of an operation's result."""
        if any([one not in self._values for one in operands]):  # noqa: C419  # faster
            self.refuse("a number of another recording is used")
        if op in ("shift_left", "shift_right"):
            self.decide(self.apply("less_equal", self.constant(0), operands[1]))
        if len(self._values) > _MOST_OPERATIONS:
            self.refuse("too many operations follow each other")
        made = self._expressions.apply(op, *operands)
        made.evaluate({}, self._values)
        return made

    def answer(self, condition: Expr) -> bool | None:
        """Return whether a condition without numbers is true."""
        return bool(condition.value) if condition.is_constant else None

    def decide(self, condition: Expr) -> bool:
        """Return whether a condition is true, and let the function see whether that is so."""
        is_true = bool(self._values[condition])
        if not (condition.is_constant or condition in self._answered):
            self._answered.add(condition)
            text = self._form(condition)
            self._lines.append(f"if {'not ' if is_true else ''}({text}): return None")
        return is_true

    may_hold = decide

    def value(self, expr: Expr) -> int:
        """Return the value of a number, for which alone the function then is."""
        value = self._values[expr]
        self.decide(self.apply("equal", expr, self.constant(value)))
        return value

    converted = value

    def refuse(self, what: str, fix: str = "") -> NoReturn:
        """Refuse what cannot be repeated."""
        raise NotRecordableError(what)

    def key(self, expr: Expr) -> NoReturn:
        """Refuse a number as a key: whoever keeps it would hand it on to later calls."""
        self.refuse("a number is looked up in a dict or a set")

    def mark(self, expr: Expr) -> NoReturn:
        """Refuse a number in a text."""
        self.refuse("a number is formatted")

    # The function's text.

    def _text(self, value: Any) -> str:
        if type(value) is TracedBool:
            return str(bool(value))
        return self._name(value.expr) if type(value) is TracedInt else repr(value)

    def _name(self, expr: Expr) -> str:
        """Return the name of an expression's result, or its value."""
        if expr.is_constant:
            return f"({expr.value})"
        if expr not in self._names:
            text = self._form(expr)
            self._names[expr] = name = f"x{len(self._names)}"
            self._lines.append(f"{name} = {text}")
        return self._names[expr]

    def _form(self, expr: Expr) -> str:
        return _FORMS[expr.op].format(*map(self._name, expr.operands))
