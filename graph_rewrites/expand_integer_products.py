"""Compute products and convolutions of 8-bit integers, which TensorRT lacks, exactly in float32.

A difference of an 8-bit integer and its zero point has 9 bits, which float32 and TF32 hold. float32
adds up 258 products of two such differences without rounding. Longer sums are cut into parts of
that length, which are added in int32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_EXACT_PRODUCTS = 2**24 // 255**2
_QUANTIZED = ("uint8", "int8")


@dataclass(frozen=True)
class _Quantized:
    """A tensor of 8-bit integers and its zero point, which may be absent."""

    value: gs.Tensor
    zero_point: gs.Tensor | None


@dataclass(frozen=True)
class _Sums:
    """The sums of products that make the elements of the output.

    Attributes:
        length: the number of terms: products, or input channels of a convolution.
        exact: how many of them float32 adds up exactly.
    """

    length: int
    exact: int


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
    ) -> str | _Sums:
        if any(each is not None and match.rank(each) is None for each in (a_zero, b_zero)):
            return "the rank of a zero point is unknown"
        return _matrix_sums(match, a, b)

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        b: gs.Tensor,
        a_zero: gs.Tensor | None,
        b_zero: gs.Tensor | None,
        facts: _Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        product = _multiply(new, match, _Quantized(a, a_zero), _Quantized(b, b_zero), facts)
        return new.end("Identity", product)


class ExpandQLinearMatMul(Rewrite):
    """QLinearMatMul(a, b) -> clip(round(MatMul(a - za, b - zb) * (sa * sb / sy)) + zy).

    The product is exact, as that of MatMulInteger. It is scaled in float32 and rounded to even
    before the zero point is added, as by ONNX Runtime. Scales may be float16.
    """

    pattern = Op(
        "QLinearMatMul",
        *("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"),
    )

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor, y_zero: gs.Tensor) -> str | _Sums:
        if any(match.rank(each) is None for each in match.inputs):
            return "the rank of an input is unknown"
        return match.dtype_problem(_QUANTIZED, y_zero) or _matrix_sums(match, a, b)

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
        facts: _Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        product = _multiply(new, match, _Quantized(a, a_zero), _Quantized(b, b_zero), facts)
        wide = new.add("Cast", product, to="float32")
        of_a, of_y = (_per_row(new, match, each) for each in (a_scale, y_scale))
        of_both = new.add("Mul", of_a, new.cast(b_scale, "float32"))
        scaled = new.add("Mul", wide, new.add("Div", of_both, of_y))
        dtype = match.dtype(y_zero)
        y = new.quantize(scaled, _per_row(new, match, y_zero), dtype)
        return new.end("Cast", y, to=dtype)


class ExpandConvInteger(Rewrite):
    """ConvInteger(x, w) -> Cast(Conv(x - zero point of x, w - zero point of w), int32).

    The shape of the weights must be known. If the sums are longer than 258 products, ``group`` must
    be 1: the input channels are then convolved in parts.
    """

    pattern = Op("ConvInteger", "x", "w", Optional("x_zero"), Optional("w_zero"))

    def check(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, w_zero: gs.Tensor | None
    ) -> str | _Sums:
        if w_zero is not None and match.rank(w_zero) is None:
            return "the rank of the weights' zero point is unknown"
        return _convolution_sums(match, x, w)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        w: gs.Tensor,
        x_zero: gs.Tensor | None,
        w_zero: gs.Tensor | None,
        facts: _Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        total = _convolve(new, match, _Quantized(x, x_zero), _Quantized(w, w_zero), facts)
        return new.end("Identity", total)


class ExpandQLinearConv(Rewrite):
    """QLinearConv(x, w, bias) -> clip(round((Conv(x - zx, w - zw) + bias) * (sx * sw / sy)) + zy).

    The convolution is exact, as that of ConvInteger. It is scaled in float32 and rounded to even
    before the zero point is added, as by ONNX Runtime. The bias is int32, in units of sx * sw.
    """

    pattern = Op(
        "QLinearConv",
        *("x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"),
        Optional("bias"),
    )

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        w: gs.Tensor,
        w_scale: gs.Tensor,
        w_zero: gs.Tensor,
        y_zero: gs.Tensor,
    ) -> str | _Sums:
        if any(match.rank(each) is None for each in (w_scale, w_zero)):
            return "the rank of the weights' scale or zero point is unknown"
        return match.dtype_problem(_QUANTIZED, y_zero) or _convolution_sums(match, x, w)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        x_scale: gs.Tensor,
        x_zero: gs.Tensor,
        w: gs.Tensor,
        w_scale: gs.Tensor,
        w_zero: gs.Tensor,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor,
        bias: gs.Tensor | None,
        facts: _Sums,
    ) -> list[gs.Node]:
        rank = match.rank(w) or 0
        new = Replacement(match)
        total = _convolve(new, match, _Quantized(x, x_zero), _Quantized(w, w_zero), facts)
        if bias is not None:
            total = new.add("Add", total, _per_channel(new, match, bias, rank, "int32", axis=1))
        of_w = _per_channel(new, match, w_scale, rank, "float32", axis=1)
        factor = new.add("Div", new.add("Mul", x_scale, of_w), y_scale)
        scaled = new.add("Mul", new.add("Cast", total, to="float32"), factor)
        dtype = match.dtype(y_zero)
        y = new.quantize(scaled, new.cast(y_zero, "float32"), dtype)
        return new.end("Cast", y, to=dtype)


def _matrix_sums(match: Match, a: gs.Tensor, b: gs.Tensor) -> str | _Sums:
    """Return how long the sums of a matrix product are, or why it cannot be computed exactly."""
    problem = match.dtype_problem(_QUANTIZED, a, b)
    if problem is not None:
        return problem
    a_shape, b_shape = match.shape(a) or (), match.shape(b) or ()
    if min(len(a_shape), len(b_shape)) < 2:
        return "the rank of an input is unknown or below 2"
    length = a_shape[-1] or b_shape[-2]
    if length is None:
        return "the number of products in each sum is unknown, so that none is known to be exact"
    return _Sums(max(length, 1), _EXACT_PRODUCTS)


def _convolution_sums(match: Match, x: gs.Tensor, w: gs.Tensor) -> str | _Sums:
    """Return how long the sums of a convolution are, or why it cannot be computed exactly."""
    problem = match.dtype_problem(_QUANTIZED, x, w)
    if problem is not None:
        return problem
    shape = match.shape(w)
    channels = shape[1] if shape else None
    if shape is None or channels is None or None in shape[2:]:
        return "the shape of the weights is unknown, so that no sum is known to be exact"
    exact = _EXACT_PRODUCTS // math.prod(dim or 1 for dim in shape[2:])
    if exact == 0 or (channels > exact and match.attribute("group", 1) != 1):
        return f"float32 sums up {_EXACT_PRODUCTS} products exactly; the sums are longer"
    return _Sums(max(channels, 1), exact)


def _multiply(
    new: Replacement, match: Match, a: _Quantized, b: _Quantized, sums: _Sums
) -> gs.Variable:
    """Return the int32 product of two matrices."""
    left = new.minus_zero_point(a.value, _per_row(new, match, a.zero_point))
    right = new.minus_zero_point(b.value, new.cast(b.zero_point, "float32"))
    column, row = (match.rank(a.value) or 0) - 1, (match.rank(b.value) or 0) - 2

    def part(start: int, end: int) -> gs.Variable:
        if (start, end) == (0, sums.length):
            return new.add("MatMul", left, right)
        return new.add(
            "MatMul", new.slice(left, column, start, end), new.slice(right, row, start, end)
        )

    return _add_parts(new, sums, part)


def _convolve(
    new: Replacement, match: Match, x: _Quantized, w: _Quantized, sums: _Sums
) -> gs.Variable:
    """Return the int32 convolution.

    Each part is rounded, because some convolution algorithms are not exact even if each sum is.
    """
    rank = match.rank(w.value) or 0
    left = new.minus_zero_point(x.value, new.cast(x.zero_point, "float32"))
    zero = None
    if w.zero_point is not None:
        zero = _per_channel(new, match, w.zero_point, rank, "float32", axis=0)
    right = new.minus_zero_point(w.value, zero)

    def part(start: int, end: int) -> gs.Variable:
        parts = (left, right)
        if (start, end) != (0, sums.length):
            parts = tuple(new.slice(each, 1, start, end) for each in parts)
        total = new.add("Conv", *parts, **match.node.attrs)
        return new.add("Floor", new.add("Add", total, np.float32(0.5)))

    return _add_parts(new, sums, part)


def _add_parts(
    new: Replacement, sums: _Sums, part: Callable[[int, int], gs.Variable]
) -> gs.Variable:
    """Add up, in int32, the float32 sums that ``part`` gives for ranges of terms."""
    total = None
    for start in range(0, sums.length, sums.exact):
        end = min(start + sums.exact, sums.length)
        exact = new.add("Cast", part(start, end), to="int32")
        total = exact if total is None else new.add("Add", total, exact)
    return total


def _per_row(new: Replacement, match: Match, value: gs.Tensor | None) -> Value:
    """Cast a scale or zero point to float32: one for all, or one for each row of a matrix."""
    if value is None:
        return None
    wide = new.cast(value, "float32")
    is_per_row = match.rank(value) == 1 and match.shape(value) != (1,)
    return new.unsqueeze(wide, [1]) if is_per_row else wide


def _per_channel(
    new: Replacement, match: Match, value: gs.Tensor, rank: int, dtype: str, *, axis: int
) -> Value:
    """Cast a scale, zero point or bias: one for all, or one for each element of ``axis``."""
    wide = new.cast(value, dtype)
    return wide if match.shape(value) in ((), (1,)) else new.along_axis(wide, rank, axis)
