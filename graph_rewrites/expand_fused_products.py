"""Split matrix products that ONNX Runtime's optimizer has fused with the nodes around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._spelled_out import (
    MICROSOFT,
    activated,
    activation_problem,
    number,
)
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandFusedMatMul(Rewrite):
    """com.microsoft.FusedMatMul(a, b) -> alpha * MatMul(Transpose(a), Transpose(b)).

    A matrix is transposed only if its attribute says so: ``transA`` exchanges the last two axes,
    ``transBatchA`` first moves the first axis behind the batch axes. The rank of a transposed
    matrix must be known. TransposeMatMul is an old name of the operator.
    """

    pattern = Op(("FusedMatMul", "TransposeMatMul"), "a", "b", domain=MICROSOFT)

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        for side, value in (("A", a), ("B", b)):
            flags = [match.attribute(f"{name}{side}", 0) for name in ("trans", "transBatch")]
            if any(flags) and match.rank(value) is None:
                return f"the rank of '{value.name}', which is transposed, is unknown"
            if flags[1] and (match.rank(value) or 0) < 3:
                return f"'{value.name}' has no batch axes, which are to be transposed"
        if not _fit(match, a, b):
            return "its matrices do not fit each other"
        return match.dtype_problem(FLOATS, a)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        left, right = _transposed(new, match, a, "A"), _transposed(new, match, b, "B")
        alpha = match.attribute("alpha", 1.0)
        if alpha == 1:
            return new.end("MatMul", left, right)
        return new.end("Mul", new.add("MatMul", left, right), number(alpha, match.dtype(a)))


def _fit(match: Match, a: gs.Tensor, b: gs.Tensor) -> bool:
    """Whether the lengths of rows and columns are equal, as far as they are known."""
    left, right = match.shape(a), match.shape(b)
    if not left or not right or len(left) < 2 or len(right) < 2:
        return True
    is_swapped = match.attribute("transBatchA", 0) or match.attribute("transBatchB", 0)
    row = left[-2 if match.attribute("transA", 0) else -1]
    column = right[-1 if match.attribute("transB", 0) else -2]
    return bool(is_swapped) or None in (row, column) or row == column


def _transposed(new: Replacement, match: Match, value: gs.Tensor, side: str) -> NodeInput:
    order = list(range(match.rank(value) or 0))
    if match.attribute(f"transBatch{side}", 0):
        order = [*order[1:-1], order[0], order[-1]]
    if match.attribute(f"trans{side}", 0) and len(order) > 1:
        order[-2:] = order[:-3:-1]
    return value if order == sorted(order) else new.add("Transpose", value, perm=order)


class ExpandFusedGemm(Rewrite):
    """com.microsoft.FusedGemm(a, b, c) -> activation(Gemm(a, b, c))."""

    pattern = Op("FusedGemm", "a", "b", Optional("c"), domain=MICROSOFT)

    def check(self, match: Match, a: gs.Tensor) -> str | None:
        return match.dtype_problem(FLOATS, a) or activation_problem(
            match.attribute("activation", ""), _parameters(match)
        )

    def rewrite(
        self, match: Match, a: gs.Tensor, b: gs.Tensor, c: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        names = ("alpha", "beta", "transA", "transB")
        given = {name: match.attribute(name) for name in names}
        product = new.add("Gemm", a, b, *([] if c is None else [c]), **given)
        activation = match.attribute("activation", "")
        y = activated(new, product, activation, _parameters(match), match.dtype(a))
        return new.end("Identity", y)


def _parameters(match: Match) -> Sequence[float]:
    """Return the parameters of the activation, as far as the node has them."""
    second = "gamma" if match.attribute("activation", "") == "Selu" else "beta"
    found = [match.attribute(f"activation_{name}") for name in ("alpha", second)]
    return [each for each in found if each is not None]


class ExpandGemmFastGelu(Rewrite):
    """com.microsoft.GemmFastGelu(x, w, bias) -> com.microsoft.FastGelu(MatMul(x, w), bias)."""

    pattern = Op("GemmFastGelu", "x", "w", Optional("bias"), domain=MICROSOFT)

    def rewrite(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, bias: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        product = new.add("MatMul", x, w)
        new.end("FastGelu", product, *([] if bias is None else [bias]))[-1].domain = MICROSOFT
        return list(new)
