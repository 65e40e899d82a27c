"""The normal form of expressions: integer polynomials, whose variables are all other operations.

Expressions that differ only in the order of terms or factors have the same normal form. A
comparison that has one result for every shape becomes a difference that is constant or has
one sign.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import gcd

from pluginkit.tracing.expressions import Expr

#: A product of variables, by the numbers of the expressions, in ascending order.
Monomial = tuple[Expr, ...]

#: Products of sums are expanded up to this many terms.
_MOST_TERMS = 64


@dataclass(frozen=True)
class Polynomial:
    """A sum of monomials with integer coefficients, and a constant.

    Attributes:
        terms: each monomial with its coefficient, which is not 0, in the order of the monomials.
        constant: what is added.
    """

    terms: tuple[tuple[Monomial, int], ...]
    constant: int = 0

    @staticmethod
    def of_terms(terms: dict[Monomial, int], constant: int) -> Polynomial:
        """Return the polynomial with these terms; coefficients may be 0."""
        kept = [(monomial, factor) for monomial, factor in terms.items() if factor]
        kept.sort(key=lambda term: [one.number for one in term[0]])
        return Polynomial(tuple(kept), constant)

    def plus(self, other: Polynomial, factor: int = 1) -> Polynomial:
        """Return ``self + factor * other``."""
        total: Counter[Monomial] = Counter(dict(self.terms))
        for monomial, coefficient in other.terms:
            total[monomial] += factor * coefficient
        return Polynomial.of_terms(total, self.constant + factor * other.constant)

    def times(self, other: Polynomial) -> Polynomial | None:
        """Return the product; None if it has too many terms."""
        if (len(self.terms) + 1) * (len(other.terms) + 1) > _MOST_TERMS:
            return None
        total: Counter[Monomial] = Counter()
        for left, a in (*self.terms, ((), self.constant)):
            for right, b in (*other.terms, ((), other.constant)):
                total[tuple(sorted(left + right, key=lambda one: one.number))] += a * b
        constant = total.pop((), 0)
        return Polynomial.of_terms(total, constant)

    def without_constant(self) -> tuple[Polynomial, int]:
        """Return a polynomial P and a factor f with ``self == f * P + constant``.

        P has no constant, no common factor, and a positive first coefficient; f is not 0.
        """
        common = gcd(*(factor for _, factor in self.terms)) or 1
        if self.terms and self.terms[0][1] < 0:
            common = -common
        return Polynomial(tuple((each, factor // common) for each, factor in self.terms)), common


class Polynomials:
    """The polynomials of one table's expressions."""

    def __init__(self) -> None:
        self._known: dict[Expr, Polynomial] = {}

    def of(self, expr: Expr) -> Polynomial:
        """Return the normal form of an expression."""
        found = self._known.get(expr)
        if found is None:
            self._known[expr] = found = self._made(expr)
        return found

    def _made(self, expr: Expr) -> Polynomial:
        if expr.is_constant:
            return Polynomial((), expr.value)
        operands = expr.operands
        if expr.op == "add":
            return self.of(operands[0]).plus(self.of(operands[1]))
        if expr.op == "sub":
            return self.of(operands[0]).plus(self.of(operands[1]), -1)
        if expr.op == "neg":
            return Polynomial(()).plus(self.of(operands[0]), -1)
        if expr.op == "mul":
            product = self.of(operands[0]).times(self.of(operands[1]))
            if product is not None:
                return product
        return Polynomial((((expr,), 1),))
