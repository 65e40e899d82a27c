"""Turn Einsum and MatMul of integers into products; TensorRT has them for floating-point only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _Equation:
    """The letters of each factor, of the output, and of the sums."""

    factors: list[str]
    output: str
    summed: str


class ExpandIntegerEinsum(Rewrite):
    """Einsum(a, b, "ij,jk->ik") of integers -> ReduceSum(a[i,k,j] * b[i,k,j]), broadcast.

    All products are computed before they are added, which takes memory for all of them.
    """

    pattern = Op("Einsum", ...)

    def check(self, match: Match) -> str | _Equation:
        if any(match.dtype(each) not in ("int32", "int64") for each in match.inputs):
            return "TensorRT takes it: it is of floating-point numbers"
        equation = _parsed(match.attribute("equation", ""))
        if equation is None:
            return "its equation has an ellipsis, or a letter twice in one factor"
        ranks = [match.rank(each) for each in match.inputs]
        if ranks != [len(each) for each in equation.factors]:
            return "its equation does not fit the ranks of its inputs"
        return equation

    def rewrite(self, match: Match, facts: _Equation) -> list[gs.Node]:
        new = Replacement(match)
        letters = facts.output + facts.summed
        product: NodeInput = None
        for tensor, own in zip(match.inputs, facts.factors, strict=True):
            order = sorted(range(len(own)), key=lambda at: letters.index(own[at]))
            factor: NodeInput = tensor
            if order != list(range(len(own))):
                factor = new.add("Transpose", tensor, perm=order)
            missing = [at for at, letter in enumerate(letters) if letter not in own]
            if missing:
                factor = new.unsqueeze(factor, missing)
            product = factor if product is None else new.add("Mul", product, factor)
        if facts.summed:
            axes = list(range(len(facts.output), len(letters)))
            product = new.reduce("ReduceSum", product, axes)
        return new.end("Identity", product)


class ExpandIntegerMatMul(Rewrite):
    """MatMul(a, b) of integers -> ReduceSum(a[..., m, k, 1] * b[..., 1, k, n]).

    All products are computed before they are added, which takes memory for all of them.
    """

    pattern = Op("MatMul", "a", "b")
    input_dtypes = ("int32", "int64")

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        if not match.rank(a) or not match.rank(b):
            return "the rank of an input is unknown"
        return match.dtype_problem(self.input_dtypes, a, b)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        is_row, is_column = match.rank(a) == 1, match.rank(b) == 1
        left = new.unsqueeze(a, [0, 2] if is_row else [match.rank(a) or 0])
        right = new.unsqueeze(b, [0, 2] if is_column else [(match.rank(b) or 0) - 2])
        total = new.reduce("ReduceSum", new.add("Mul", left, right), [-2])
        vectors = [at for at, is_vector in ((-2, is_row), (-1, is_column)) if is_vector]
        return new.end("Identity", new.squeeze(total, vectors) if vectors else total)


def _parsed(equation: str) -> _Equation | None:
    """Read an equation; None for one with an ellipsis, or a letter twice in a factor."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    factors = left.split(",")
    letters = "".join(factors)
    if "." in equation or any(len(set(each)) < len(each) for each in [*factors, right]):
        return None
    if not letters.isalpha() or not set(right) <= set(letters):
        return None
    output = right if arrow else "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    summed = "".join(sorted(set(letters) - set(output)))
    return _Equation(factors, output, summed)
