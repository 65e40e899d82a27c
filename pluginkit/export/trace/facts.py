"""What is known about expressions on one path through an author's code.

The answer to each condition narrows the interval of a polynomial, of its monomials and of the
dimensions in them. An answer that contradicts earlier ones is impossible, and no code is generated
for it. The reasoning is sound but incomplete: it never rules out a possible answer, and may miss
an impossible one.
"""

from __future__ import annotations

from collections.abc import Iterator

from pluginkit.export.trace import intervals
from pluginkit.export.trace.intervals import Interval, max_of, min_of
from pluginkit.export.trace.polynomials import Monomial, Polynomial, Polynomials
from pluginkit.tracing.expressions import Expr

#: For each comparison the largest difference of its sides for which it is true, and the least for
#: which it is false.
_LIMITS = {"less": (-1, 0), "less_equal": (0, 1)}
#: The most narrowings that one answer may cause.
_MOST_CONSEQUENCES = 64


class _ContradictionError(Exception):
    """An interval became empty."""


class Facts:
    """What is known after some answers.

    Facts are immutable: an answer leads to other facts, which are kept, because all paths with the
    same first answers share them.

    Args:
        polynomials: the polynomials of the expressions.
    """

    def __init__(self, polynomials: Polynomials) -> None:
        self._polynomials = polynomials
        self._narrowed: dict[Polynomial, Interval] = {}
        self._excluded: set[Polynomial] = set()
        self._intervals: dict[Expr, Interval] = {}
        self._answers: dict[Expr, bool | None] = {}
        self._after: dict[tuple[Expr, bool], Facts | None] = {}

    def assuming(self, condition: Expr, is_true: bool) -> Facts | None:
        """Return the facts after an answer to a comparison; None if the answer is impossible."""
        key = condition, is_true
        if key not in self._after:
            after = self._copy()
            try:
                after._assume(condition, is_true)
            except _ContradictionError:
                self._after[key] = None
            else:
                self._after[key] = after
        return self._after[key]

    def _copy(self) -> Facts:
        other = Facts(self._polynomials)
        other._narrowed = dict(self._narrowed)
        other._excluded = set(self._excluded)
        other._intervals = dict(self._intervals)
        return other

    def interval(self, expr: Expr) -> Interval:
        """Return the interval in which the expression lies."""
        found = self._intervals.get(expr)
        if found is None:
            polynomial = self._polynomials.of(expr)
            if polynomial.terms == (((expr,), 1),):
                found = self._of_monomial((expr,))
            else:
                found = self._of_polynomial(polynomial)
            self._intervals[expr] = found
        return found

    def answer(self, condition: Expr) -> bool | None:
        """Return whether a comparison is true; None if both answers are possible."""
        if condition not in self._answers:
            self._answers[condition] = self._answered(condition)
        return self._answers[condition]

    def _answered(self, condition: Expr) -> bool | None:
        if condition.is_constant:
            return bool(condition.value)
        if condition.op == "not":
            answer = self.answer(condition.operands[0])
            return None if answer is None else not answer
        difference = self._difference(condition)
        least, largest = self._of_polynomial(difference)
        if condition.op == "equal":
            if least > 0 or largest < 0 or _unsigned(difference) in self._excluded:
                return False
            return True if least == largest == 0 else None
        most, beyond = _LIMITS[condition.op]
        return True if largest <= most else False if least >= beyond else None

    def _assume(self, condition: Expr, is_true: bool) -> None:
        """Narrow these facts by the answer to a comparison; raises if it is impossible."""
        if condition.op == "not":
            self._assume(condition.operands[0], not is_true)
            return
        difference = self._difference(condition)
        least, largest = self._of_polynomial(difference)
        if condition.op != "equal":
            most, beyond = _LIMITS[condition.op]
            self._narrow(difference, (least, most) if is_true else (beyond, largest))
        elif is_true:
            self._narrow(difference, (0, 0))
        elif least == 0:
            self._narrow(difference, (1, largest))
        elif largest == 0:
            self._narrow(difference, (least, -1))
        else:
            self._excluded.add(_unsigned(difference))

    def _difference(self, condition: Expr) -> Polynomial:
        """Return the left side of a comparison minus the right side."""
        left, right = condition.operands
        return self._polynomials.of(left).plus(self._polynomials.of(right), -1)

    def _of_polynomial(self, polynomial: Polynomial) -> Interval:
        found = (0, 0)
        for monomial, factor in polynomial.terms:
            found = intervals.total(found, intervals.scaled(self._of_monomial(monomial), factor))
        found = intervals.shifted(found, polynomial.constant)
        part, factor = polynomial.without_constant()
        known = self._narrowed.get(part)
        if known is not None:
            outer = intervals.shifted(intervals.scaled(known, factor), polynomial.constant)
            found = intervals.overlap(found, outer)
        return found

    def _of_monomial(self, monomial: Monomial) -> Interval:
        found = (1, 1)
        for atom in monomial:
            found = intervals.product(found, self._of_atom(atom))
        known = self._narrowed.get(Polynomial(((monomial, 1),)))
        return found if known is None else intervals.overlap(found, known)

    def _of_atom(self, atom: Expr) -> Interval:
        """Return the interval of an atom, from its operands and what is known about it."""
        if atom.op == "symbol":
            found = atom.bounds
        elif atom.op == "constant":
            found = atom.value, atom.value
        else:
            operands = [self.interval(operand) for operand in atom.operands]
            found = intervals.OPERATIONS[atom.op](*operands)
        known = self._narrowed.get(Polynomial((((atom,), 1),)))
        return found if known is None else intervals.overlap(found, known)

    def _narrow(self, polynomial: Polynomial, to: Interval) -> None:
        """Record that the polynomial lies in ``to``, and what follows from that."""
        waiting = [(polynomial, to)]
        followed: dict[Polynomial, Interval] = {}
        for _ in range(_MOST_CONSEQUENCES):
            if not waiting:
                return
            one, interval = waiting.pop(0)
            now = self._of_polynomial(one)
            new = intervals.overlap(now, interval)
            if new[0] > new[1]:
                raise _ContradictionError
            if followed.get(one) == new:
                continue
            followed[one] = new
            part, factor = one.without_constant()
            self._narrowed[part] = _unscaled(intervals.shifted(new, -one.constant), factor)
            self._intervals.clear()
            waiting += self._consequences(one, new)

    def _consequences(
        self, polynomial: Polynomial, interval: Interval
    ) -> Iterator[tuple[Polynomial, Interval]]:
        """Yield what the interval of a sum or product implies for its terms or factors."""
        if len(polynomial.terms) > 1:
            for monomial, factor in polynomial.terms:
                rest = polynomial.plus(Polynomial(((monomial, factor),)), -1)
                others = self._of_polynomial(rest)
                term = interval[0] - others[1], interval[1] - others[0]
                yield Polynomial(((monomial, 1),)), _unscaled(term, factor)
            return
        for monomial, factor in polynomial.terms:
            of_monomial = _unscaled(intervals.shifted(interval, -polynomial.constant), factor)
            if factor != 1 or polynomial.constant:
                yield Polynomial(((monomial, 1),)), of_monomial
            elif len(monomial) > 1:
                yield from self._of_factors(monomial, of_monomial)
            else:
                for operand, narrower in _of_operands(self, monomial[0], of_monomial):
                    yield self._polynomials.of(operand), narrower

    def _of_factors(
        self, monomial: Monomial, interval: Interval
    ) -> Iterator[tuple[Polynomial, Interval]]:
        for position, atom in enumerate(monomial):
            rest = self._of_monomial(monomial[:position] + monomial[position + 1 :])
            own = self._of_atom(atom)
            if rest[0] < 0 or own[0] < 0:
                continue
            least, largest = own
            if interval[0] > 0:
                least = max_of(least, 1, -(-interval[0] // rest[1]) if rest[1] else 1)
            if rest[0] > 0:
                largest = min_of(largest, interval[1] // rest[0])
            yield Polynomial((((atom,), 1),)), (least, largest)


def _unsigned(polynomial: Polynomial) -> Polynomial:
    """Return the polynomial or its negative; the same one for both of them."""
    is_negative = bool(polynomial.terms) and polynomial.terms[0][1] < 0
    return Polynomial(()).plus(polynomial, -1) if is_negative else polynomial


def _unscaled(interval: Interval, factor: int) -> Interval:
    """Return the interval of the integers ``x`` for which ``factor * x`` lies in the interval."""
    least, largest = interval if factor > 0 else (-interval[1], -interval[0])
    return -(-least // abs(factor)), largest // abs(factor)


def _of_operands(facts: Facts, expr: Expr, interval: Interval) -> Iterator[tuple[Expr, Interval]]:
    """Yield what the interval of an operation implies for its operands."""
    least, largest = interval
    if expr.op in ("max", "min"):
        for operand in expr.operands:
            own = facts.interval(operand)
            yield operand, (own[0], largest) if expr.op == "max" else (least, own[1])
    elif expr.op == "bit_length":
        (operand,) = expr.operands
        if facts.interval(operand)[0] >= 0:
            yield operand, ((1 << least - 1) if least > 0 else 0, (1 << max_of(largest, 0)) - 1)
    elif expr.op in ("floor_div", "ceil_div"):
        over, under = expr.operands
        a, b = facts.interval(over), facts.interval(under)
        is_up = expr.op == "ceil_div"
        if under.is_constant and under.value > 0:
            low = least * under.value - (under.value - 1) * is_up
            high = largest * under.value + (under.value - 1) * (not is_up)
            yield over, (low, high)
        elif over.is_constant and over.value > 0 and b[0] > 0 and least > 0:
            # a // b >= q and ceil(a / b) >= q bound b from above.
            most = (a[0] - 1) // (least - 1) if is_up and least > 1 else None
            if is_up and most is not None:
                yield under, (b[0], most)
            elif not is_up:
                yield under, (b[0], a[1] // least)
