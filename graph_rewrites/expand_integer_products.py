"""Compute matrix products of 8-bit integers, which TensorRT lacks, exactly in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._exact_sums import (
    EXACT_PRODUCTS,
    QUANTIZED,
    Quantized,
    Sums,
    add_parts,
)
from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandMatMulInteger(Rewrite):
    """MatMulInteger(a, b) -> Cast(MatMul(a - zero point of a, b - zero point of b), int32).

    The length of the sums must be known.
    """

    pattern = Op("MatMulInteger", "a", "b", Optional("a_zero"), Optional("b_zero"))

    def check(
        self,
        match: Match,
        a: gs.Tensor,
        b: gs.Tensor,
        a_zero: gs.Tensor | None,
        b_zero: gs.Tensor | None,
    ) -> str | Sums:
        if any(each is not None and match.rank(each) is None for each in (a_zero, b_zero)):
            return "the rank of a zero point is unknown"
        return _sums(match, a, b)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        b: gs.Tensor,
        a_zero: gs.Tensor | None,
        b_zero: gs.Tensor | None,
        facts: Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        product = _multiply(new, match, Quantized(a, a_zero), Quantized(b, b_zero), facts)
        return new.end("Identity", product)


class ExpandQLinearMatMul(Rewrite):
    """QLinearMatMul(a, b) -> clip(round(MatMul(a - za, b - zb) * (sa * sb / sy)) + zy).

    The product is exact, like that of MatMulInteger. As in ONNX Runtime, it is scaled in float32
    and rounded to even before the zero point is added. Scales may be float16.
    """

    pattern = Op(
        "QLinearMatMul",
        *("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"),
    )

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor, y_zero: gs.Tensor) -> str | Sums:
        if any(match.rank(each) is None for each in match.inputs):
            return "the rank of an input is unknown"
        if 1 in (match.rank(a), match.rank(b)):
            return "an input is a vector"
        return match.dtype_problem(QUANTIZED, y_zero) or _sums(match, a, b)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        a_zero: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor,
        facts: Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        product = _multiply(new, match, Quantized(a, a_zero), Quantized(b, b_zero), facts)
        wide = new.add("Cast", product, to="float32")
        of_a, of_y = (_per_row(new, match, each) for each in (a_scale, y_scale))
        of_both = new.add("Mul", of_a, new.cast(b_scale, "float32"))
        scaled = new.add("Mul", wide, new.add("Div", of_both, of_y))
        dtype = match.dtype(y_zero)
        y = new.quantize(scaled, _per_row(new, match, y_zero), dtype)
        return new.end("Cast", y, to=dtype)


def _sums(match: Match, a: gs.Tensor, b: gs.Tensor) -> str | Sums:
    """Return the sums of a product, or why they cannot be computed exactly."""
    problem = match.dtype_problem(QUANTIZED, a, b)
    if problem is not None:
        return problem
    a_shape, b_shape = match.shape(a), match.shape(b)
    length = (a_shape[-1] if a_shape else None) or (b_shape[-2:][0] if b_shape else None)
    if length is None:
        return "the number of products in each sum is unknown, so that none is known to be exact"
    return Sums(max(length, 1), EXACT_PRODUCTS)


def _multiply(
    new: Replacement, match: Match, a: Quantized, b: Quantized, sums: Sums
) -> gs.Variable:
    """Return the int32 product; a vector is a row on the left, a column on the right."""
    left = new.minus_zero_point(a.value, _per_row(new, match, a.zero_point))
    right = new.minus_zero_point(b.value, new.cast(b.zero_point, "float32"))
    vectors = [axis for axis, each in ((-2, a), (-1, b)) if match.rank(each.value) == 1]
    left = new.unsqueeze(left, [0]) if -2 in vectors else left
    right = new.unsqueeze(right, [1]) if -1 in vectors else right

    def part(start: int, end: int) -> gs.Variable:
        if (start, end) == (0, sums.length):
            return new.add("MatMul", left, right)
        return new.add("MatMul", new.slice(left, -1, start, end), new.slice(right, -2, start, end))

    product = add_parts(new, sums, part)
    return new.squeeze(product, vectors) if vectors else product


def _per_row(new: Replacement, match: Match, value: gs.Tensor | None) -> NodeInput:
    """Cast a scale or zero point to float32: one for all, or one for each row of a matrix."""
    if value is None:
        return None
    wide = new.cast(value, "float32")
    is_per_row = match.rank(value) == 1 and match.shape(value) != (1,)
    return new.unsqueeze(wide, [1]) if is_per_row else wide
