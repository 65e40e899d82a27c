"""Exact convolutions of 8-bit integers."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._quantization import (
    EXACT_PRODUCTS,
    RANGES,
    centered,
    summed_products,
)
from pluginkit.onnx import Match, Replacement, Value

_FLOAT = onnx.TensorProto.FLOAT


def why_not_convolve(match: Match, x: gs.Tensor, w: gs.Tensor) -> str | None:
    """Why the convolution of ``x`` with ``w`` has no exact form for TensorRT, or None."""
    if any(match.elem_type(each) not in RANGES for each in (x, w)):
        return "a type is unknown, or neither uint8 nor int8"
    shape = match.shape(w)
    channels = shape[1] if shape else None
    if shape is None or channels is None or None in shape[2:]:
        return "the shape of the weights is unknown, so that no sum is known to be exact"
    most = _exact_channels(shape)
    if most == 0 or (channels > most and match.attribute("group", 1) != 1):
        return f"float32 sums up {EXACT_PRODUCTS} products exactly; the sums are longer"
    return None


def _exact_channels(shape: tuple[int | None, ...]) -> int:
    """How many of the input's channels a float32 sums up without rounding."""
    kernel: int = math.prod(dim or 1 for dim in shape[2:])
    return EXACT_PRODUCTS // kernel


def convolved(
    new: Replacement,
    match: Match,
    x: tuple[gs.Tensor, gs.Tensor | None],
    w: tuple[gs.Tensor, gs.Tensor | None],
) -> gs.Variable:
    """The int32 convolution of an input with weights, each with its zero point or None.

    The sums are rounded, for some convolution algorithms are not exact even where each sum is.
    """
    shape = match.shape(w[0]) or ()
    left = centered(new, x[0], None if x[1] is None else new.cast(x[1], _FLOAT))
    right = centered(new, w[0], per_channel(new, match, w[1], len(shape), _FLOAT))
    channels, most = shape[1] or 1, _exact_channels(shape)

    def part(start: int, end: int) -> gs.Variable:
        parts = (left, right)
        if (start, end) != (0, channels):
            parts = tuple(new.slice(each, 1, start, end) for each in parts)
        total = new.add("Conv", *parts, **match.node.attrs)
        return new.add("Floor", new.add("Add", total, np.float32(0.5)))

    return summed_products(new, channels, most, part)


def per_channel(
    new: Replacement,
    match: Match,
    value: gs.Tensor | None,
    rank: int,
    elem_type: int,
    *,
    axis: int = 0,
) -> Value:
    """A scale, zero point or bias, cast: one for all, or one for each entry of ``axis``."""
    if value is None:
        return None
    wide = new.cast(value, elem_type)
    if match.shape(value) in ((), (1,)):
        return wide
    shape = np.ones(rank, np.int64)
    shape[axis] = -1
    return new.add("Reshape", wide, shape)
