"""Compute convolutions of 8-bit integers, which TensorRT lacks, exactly in float32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._exact_sums import (
    EXACT_PRODUCTS,
    QUANTIZED,
    Quantized,
    Sums,
    add_parts,
)
from pluginkit.graph_rewrites.widen_conv import conv_of_signal
from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandConvInteger(Rewrite):
    """ConvInteger(x, w) -> Cast(Conv(x - zero point of x, w - zero point of w), int32).

    The shape of the weights must be known. If the sums are longer than 258 products, ``group`` must
    be 1: the input channels are then convolved in parts.
    """

    pattern = Op("ConvInteger", "x", "w", Optional("x_zero"), Optional("w_zero"))

    def check(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, w_zero: gs.Tensor | None
    ) -> str | Sums:
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
        facts: Sums,
    ) -> list[gs.Node]:
        new = Replacement(match)
        total = _convolve(new, match, Quantized(x, x_zero), Quantized(w, w_zero), facts)
        return new.end("Identity", total)


class ExpandQLinearConv(Rewrite):
    """QLinearConv(x, w, bias) -> clip(round((Conv(x - zx, w - zw) + bias) * (sx * sw / sy)) + zy).

    The convolution is exact, like that of ConvInteger. As in ONNX Runtime, it is scaled in float32
    and rounded to even before the zero point is added. The bias is int32, in units of sx * sw.
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
    ) -> str | Sums:
        if any(match.rank(each) is None for each in (w_scale, w_zero)):
            return "the rank of the weights' scale or zero point is unknown"
        return match.dtype_problem(QUANTIZED, y_zero) or _convolution_sums(match, x, w)

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
        facts: Sums,
    ) -> list[gs.Node]:
        rank = match.rank(w) or 0
        new = Replacement(match)
        total = _convolve(new, match, Quantized(x, x_zero), Quantized(w, w_zero), facts)
        if bias is not None:
            total = new.add("Add", total, _per_channel(new, match, bias, rank, "int32", axis=1))
        of_w = _per_channel(new, match, w_scale, rank, "float32", axis=1)
        factor = new.add("Div", new.add("Mul", x_scale, of_w), y_scale)
        scaled = new.add("Mul", new.add("Cast", total, to="float32"), factor)
        dtype = match.dtype(y_zero)
        y = new.quantize(scaled, new.cast(y_zero, "float32"), dtype)
        return new.end("Cast", y, to=dtype)


def _convolution_sums(match: Match, x: gs.Tensor, w: gs.Tensor) -> str | Sums:
    """Return the sums of a convolution, or why they cannot be computed exactly."""
    problem = match.dtype_problem(QUANTIZED, x, w)
    if problem is not None:
        return problem
    shape = match.shape(w)
    channels = shape[1] if shape else None
    if shape is None or channels is None or None in shape[2:]:
        return "the shape of the weights is unknown, so that no sum is known to be exact"
    exact = EXACT_PRODUCTS // math.prod(dim or 1 for dim in shape[2:])
    if exact == 0 or (channels > exact and match.attribute("group", 1) != 1):
        return f"float32 sums up {EXACT_PRODUCTS} products exactly; the sums are longer"
    return Sums(max(channels, 1), exact)


def _convolve(
    new: Replacement, match: Match, x: Quantized, w: Quantized, sums: Sums
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
        if rank == 3:  # TensorRT's builder fails on a signal whose convolution is rounded
            total = conv_of_signal(new, parts, match.node.attrs)
        else:
            total = new.add("Conv", *parts, **match.node.attrs)
        return new.add("Floor", new.add("Add", total, np.float32(0.5)))

    return add_parts(new, sums, part)


def _per_channel(
    new: Replacement, match: Match, value: gs.Tensor, rank: int, dtype: str, *, axis: int
) -> NodeInput:
    """Cast a scale, zero point or bias: one for all, or one for each element of ``axis``."""
    wide = new.cast(value, dtype)
    return wide if match.shape(value) in ((), (1,)) else new.along_axis(wide, rank, axis)
