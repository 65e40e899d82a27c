"""One run of an author's code on traced integers: the conditions it tests, and the answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import NoReturn

from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.errors import ExportError
from pluginkit.export.trace.author import current_line
from pluginkit.export.trace.facts import Facts
from pluginkit.export.trace.polynomials import Polynomials
from pluginkit.kernels.specialise import Specialisation
from pluginkit.tracing.expressions import Expr, Expressions
from pluginkit.tracing.numbers import VALUE_FIX

#: The most values of a loop bound or an index for which all paths are followed.
MOST_VALUES = 32
_INT_FIX = "write known(dim) of pluginkit.dims in place of int(dim): it keeps the dimension."
#: The most conditions on one path; more indicate an endless loop.
_MOST_QUESTIONS = 128

#: Checks that the runtime repeats (for views outside of their buffers), each with the answer that
#: is assumed where the facts do not decide.
_TAKEN: dict[CodeType, bool] = {
    Workspace._check.__code__: True,
    TensorDesc.reshape.__code__: False,
}

#: The placeholder of an expression in a text that an author formats.
_MARK = re.compile("\ue000([0-9]+)\ue001")


@dataclass(frozen=True)
class BranchDecision:
    """One decision of the author's code.

    Attributes:
        condition: the condition that the code tested.
        answer: the result that the path assumes.
    """

    condition: Expr
    answer: bool


class ImpossiblePathError(BaseException):
    """No shape takes the path: its answers contradict each other, which shows late."""


class TraceTable:
    """The expressions of a traced call, their normal forms, and the kernels that it launches.

    Attributes:
        expressions: the expressions.
        polynomials: their normal forms.
        facts: what is known before any condition.
        kernels: every kernel that a path launches, once.
        known_kernels: the numbers of kernels, by declaration and constants.
    """

    def __init__(self) -> None:
        self.kernels: list[Specialisation] = []
        self.known_kernels: dict[object, Expr] = {}
        self.expressions = Expressions()
        self.polynomials = Polynomials()
        self.facts = Facts(self.polynomials)
        self._by_number: dict[int, Expr] = {}

    def apply(self, op: str, *operands: Expr) -> Expr:
        """Return the result of an operation; a constant if its operands cancel out."""
        made = self.expressions.apply(op, *operands)
        if op in ("add", "sub", "mul"):
            polynomial = self.polynomials.of(made)
            if not polynomial.terms:
                return self.expressions.constant(polynomial.constant)
        return made

    def kernel(self, kernel: Specialisation) -> Expr:
        """Return the kernel's number in ``kernels``; an expression can choose it by shape."""
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        return self.expressions.constant(self.kernels.index(kernel))

    def mark(self, expr: Expr) -> str:
        """Return the placeholder of an expression in a text."""
        self._by_number[expr.number] = expr
        return f"\ue000{expr.number}\ue001"

    def parts(self, text: str) -> tuple[str | Expr, ...]:
        """Split an author's text into plain parts and the expressions of its placeholders."""
        pieces = _MARK.split(text)
        return tuple(
            self._by_number[int(piece)] if index % 2 else piece
            for index, piece in enumerate(pieces)
            if index % 2 or piece
        )


class Path:
    """The answers of one run: first the given ones, then any possible ones.

    Args:
        table: the call's expressions.
        given: the answers to the first conditions.

    Attributes:
        questions: the decisions so far.
        phase: which of the author's methods runs.
        failed_in: the method that raised an exception.
        refused: the error for code that cannot be traced, in case the author's code catches it.
    """

    def __init__(self, table: TraceTable, given: Sequence[bool] = ()) -> None:
        self.table = table
        self.facts = table.facts
        self.questions: list[BranchDecision] = []
        self.phase = self.failed_in = ""
        self.refused: ExportError | None = None
        self._given = given

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Record which of the author's methods runs."""
        before, self.phase = self.phase, phase
        try:
            yield
        except Exception:
            self.failed_in = self.failed_in or phase
            raise
        finally:
            self.phase = before

    def assume(self, condition: Expr) -> None:
        """Assume that a comparison is true, unless that is impossible."""
        self.facts = self.facts.assuming(condition, True) or self.facts

    def decide(self, condition: Expr) -> bool:
        """Answer a condition: as the facts demand, otherwise as given, otherwise with True.

        Errors:
            ImpossiblePathError: neither answer is possible.
        """
        known = self.facts.answer(condition)
        if known is not None:
            return known
        taken = _taken()
        if taken is not None:
            return taken
        after = {answer: self.facts.assuming(condition, answer) for answer in (True, False)}
        possible = {answer: facts for answer, facts in after.items() if facts is not None}
        if not possible:
            raise ImpossiblePathError
        if len(possible) == 1:
            ((answer, self.facts),) = possible.items()
            return answer
        if len(self.questions) == _MOST_QUESTIONS:
            self.refuse(
                f"more than {_MOST_QUESTIONS} branches on dimensions follow each other",
                "give smaller ranges, or fixed sizes, with --shapes INPUT:MIN,OPT,MAX; an author "
                "can bound the loop by a constant, or end it with may_hold(condition).",
            )
        number = len(self.questions)
        answer = self._given[number] if number < len(self._given) else True
        self.facts = possible[answer]
        self.questions.append(BranchDecision(condition, answer))
        return answer

    def apply(self, op: str, *operands: Expr) -> Expr:
        """Return the expression of an operation's result."""
        return self.table.apply(op, *operands)

    def constant(self, value: int) -> Expr:
        """Return the expression of an integer."""
        return self.table.expressions.constant(value)

    def answer(self, condition: Expr) -> bool | None:
        """Return what the facts say of a comparison."""
        return self.facts.answer(condition)

    def may_hold(self, condition: Expr) -> bool:
        """Return whether the facts leave a comparison possible; see pluginkit.may_hold."""
        return self.facts.answer(condition) is not False

    def mark(self, expr: Expr) -> str:
        """Return the placeholder of an expression in a text."""
        return self.table.mark(expr)

    def value(self, expr: Expr) -> int:
        """Return a value of the expression; a path is followed for each of its few values.

        Errors:
            PK800: it has too many values.
        """
        what = f"a plain number is needed where a dimension, {expr!r}, can have over "
        return self._chosen(expr, MOST_VALUES, f"{what}{MOST_VALUES} values", VALUE_FIX)

    def key(self, expr: Expr) -> int:
        """Return a value of the expression as a key; see :meth:`value`."""
        what = f"a dimension, {expr!r}, is looked up in a dict or a set"
        return self._chosen(expr, MOST_VALUES, what, "compare it with == in turn.")

    def converted(self, expr: Expr) -> int:
        """Return the only value of the expression.

        Errors:
            PK800: it has several.
        """
        return self._chosen(expr, 1, f"a dimension, {expr!r}, is made a plain int", _INT_FIX)

    def _chosen(self, expr: Expr, most: int, what: str, fix: str) -> int:
        least, largest = self.facts.interval(expr)
        if largest - least >= most:
            self.refuse(what, fix)
        for number in range(least, largest):
            if self.decide(self.apply("equal", expr, self.constant(number))):
                return number
        return largest

    def refuse(self, what: str, fix: str) -> NoReturn:
        """Refuse code that cannot be traced, with the author's line.

        Errors:
            PK800: always.
        """
        self.refused = ExportError(
            "PK800",
            f"{what}; expected what can be written in C++ for every shape.",
            where=current_line(),
            fix=fix,
        )
        raise self.refused


def _taken() -> bool | None:
    frame = sys._getframe(2)
    for _ in range(3):
        if frame.f_code in _TAKEN:
            return _TAKEN[frame.f_code]
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
