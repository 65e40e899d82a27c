"""Dequantize the inputs of an operator on small integers, and quantize its output again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, NodeInput, Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The first opset in which ONNX quantizes.
QUANTIZES_SINCE = 10


def dequantized(
    new: Replacement,
    value: NodeInput,
    scale: NodeInput,
    zero_point: NodeInput,
    axis: int | None = None,
) -> gs.Variable:
    """Return the float32 numbers that quantized integers represent.

    Args:
        new: the new nodes.
        value: the integers.
        scale: one scale, or one for each element of the axis.
        zero_point: the zero point in the type of the integers; None for 0.
        axis: the axis, which DequantizeLinear has since opset 13.
    """
    inputs = [value, scale] if zero_point is None else [value, scale, zero_point]
    return new.add("DequantizeLinear", *inputs, axis=axis)


def quantize(
    new: Replacement,
    match: Match,
    value: NodeInput,
    scale: NodeInput,
    zero_point: NodeInput,
    dtype: str,
) -> list[gs.Node]:
    """Produce the output of the match: the value, quantized to a dtype."""
    zero = np.zeros((), dtype) if zero_point is None else zero_point
    return new.end("QuantizeLinear", value, scale, zero)


def round_shifted(
    new: Replacement, match: Match, value: NodeInput, zero_point: NodeInput, dtype: str
) -> list[gs.Node]:
    """Produce the output of the match: the sum of value and zero point, rounded to a dtype.

    Args:
        new: the new nodes.
        match: the match.
        value: float32, already divided by the scale.
        zero_point: float32; None for 0.
        dtype: the type of the output.
    """
    shifted = value if zero_point is None else new.add("Add", value, zero_point)
    return new.end("Cast", new.quantize(shifted, None, dtype), to=dtype)


def single(new: Replacement, match: Match, value: gs.Tensor | None) -> NodeInput:
    """Return a scale or zero point, of which there is one, as a float32 scalar; None stays None."""
    if value is None:
        return None
    wide = new.cast(value, "float32")
    if isinstance(wide, np.ndarray):
        return wide.reshape(())
    return wide if match.shape(value) == () else new.add("Reshape", wide, np.zeros(0, np.int64))


def rank_problem(match: Match, *scales: gs.Tensor | None) -> str | None:
    """Return why the match is refused, unless the scales are numbers or one-element vectors."""
    for each in scales:
        if each is not None and match.shape(each) not in ((), (1,)):
            return f"'{each.name}' is not known to be a single number"
    return None
