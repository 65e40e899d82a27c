"""What traced numbers ask of the run that they belong to."""

from __future__ import annotations

from typing import NoReturn, Protocol

from pluginkit.tracing.expressions import Expr


class TracedPath(Protocol):
    """One run of an author's code on traced numbers."""

    def constant(self, value: int) -> Expr:
        """Return the expression of an integer."""

    def apply(self, op: str, *operands: Expr) -> Expr:
        """Return the expression of an operation's result."""

    def answer(self, condition: Expr) -> bool | None:
        """Return whether a comparison is true; None if the path has to choose."""

    def decide(self, condition: Expr) -> bool:
        """Return whether a comparison is true, and choose if both are possible."""

    def may_hold(self, condition: Expr) -> bool:
        """Return whether a comparison can be true on this path; see pluginkit.may_hold."""

    def value(self, expr: Expr) -> int:
        """Return the value of an expression, where only a plain number will do."""

    def converted(self, expr: Expr) -> int:
        """Return the value of an expression that the code makes a plain int."""

    def key(self, expr: Expr) -> int:
        """Return the value of an expression that is looked up in a dict or a set."""

    def mark(self, expr: Expr) -> str:
        """Return what stands for an expression in a text."""

    def refuse(self, what: str, fix: str) -> NoReturn:
        """Refuse code that cannot be traced."""
