"""Exact products of matrices of 8-bit integers."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._quantization import (
    EXACT_PRODUCTS,
    RANGES,
    centered,
    rank_of,
    summed_products,
)
from pluginkit.onnx import Match, Replacement, Value

_FLOAT = onnx.TensorProto.FLOAT


def why_not_multiply(match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
    """Why the product of ``a`` and ``b`` has no exact form for TensorRT, or None."""
    if any(match.elem_type(each) not in RANGES for each in (a, b)):
        return "a type is unknown, or neither uint8 nor int8"
    if not all((rank_of(match, each) or 0) >= 2 for each in (a, b)):
        return "the rank of an input is unknown or below 2"
    if _length(match, a, b) is None:
        return "the number of products in each sum is unknown, so that none is known to be exact"
    return None


def _length(match: Match, a: gs.Tensor, b: gs.Tensor) -> int | None:
    """How many products make an element."""
    a_shape, b_shape = match.shape(a), match.shape(b)
    return (a_shape[-1] if a_shape else None) or (b_shape[-2] if b_shape else None)


def multiplied(
    new: Replacement,
    match: Match,
    a: tuple[gs.Tensor, gs.Tensor | None],
    b: tuple[gs.Tensor, gs.Tensor | None],
) -> gs.Variable:
    """The int32 product of two matrices, each with its zero point or None."""
    left = centered(new, a[0], per_row(new, match, a[1]))
    right = centered(new, b[0], None if b[1] is None else new.cast(b[1], _FLOAT))
    length = _length(match, a[0], b[0]) or 1
    if length <= EXACT_PRODUCTS:
        return new.add("Cast", new.add("MatMul", left, right), to=onnx.TensorProto.INT32)

    column, row = (rank_of(match, a[0]) or 0) - 1, (rank_of(match, b[0]) or 0) - 2

    def part(start: int, end: int) -> gs.Variable:
        return new.add(
            "MatMul", new.slice(left, column, start, end), new.slice(right, row, start, end)
        )

    return summed_products(new, length, EXACT_PRODUCTS, part)


def per_row(new: Replacement, match: Match, value: gs.Tensor | None) -> Value:
    """A scale or zero point as float32: one for all, one for each row, or ready to broadcast."""
    if value is None:
        return None
    wide = new.cast(value, _FLOAT)
    is_per_row = rank_of(match, value) == 1 and match.shape(value) != (1,)
    return new.unsqueeze(wide, [1]) if is_per_row else wide
