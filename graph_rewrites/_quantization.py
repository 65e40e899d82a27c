"""What the rewrites of quantized operators share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Replacement, Value

_T = onnx.TensorProto

#: The least and the greatest of each type that quantized values may have in TensorRT.
RANGES: dict[int, tuple[int, int]] = {_T.UINT8: (0, 255), _T.INT8: (-128, 127)}

#: How many products of two differences of 8-bit integers a float32 sums up without rounding.
EXACT_PRODUCTS = 2**24 // 255**2


def is_given(inputs: list[gs.Tensor], index: int) -> bool:
    """Whether a node has this optional input."""
    return index < len(inputs) and bool(inputs[index].name)


def given(inputs: list[gs.Tensor], index: int) -> gs.Tensor | None:
    """This optional input of a node, None where it has none."""
    return inputs[index] if is_given(inputs, index) else None


def rank_of(match: Match, tensor: gs.Tensor) -> int | None:
    """The number of the tensor's dimensions, None when it is unknown."""
    shape = match.shape(tensor)
    return None if shape is None else len(shape)


def is_zero(match: Match, tensor: gs.Tensor) -> bool:
    """Whether the model stores the tensor, and nothing but zeros."""
    stored = match.constant(tensor)
    return stored is not None and not np.any(stored)


def centered(
    new: Replacement, value: gs.Tensor, zero_point: Value, elem_type: int = _T.FLOAT
) -> Value:
    """``value - zero_point``, 9 bits and a sign at most, which every floating-point type holds.

    Args:
        new: collects the nodes.
        value: uint8 or int8.
        zero_point: cast, and ready to broadcast; None for zero.
        elem_type: the type of the zero point and of the difference.
    """
    wide = new.cast(value, elem_type)
    return wide if zero_point is None else new.add("Sub", wide, zero_point)


def saturated(
    new: Replacement, value: gs.Variable, zero_point: Value, elem_type: int
) -> gs.Variable:
    """``value`` rounded to even, plus the zero point, within a type, and still float32 as both."""
    value = _rounded_to_even(new, value)
    if zero_point is not None:
        value = new.add("Add", value, zero_point)
    least, greatest = map(np.float32, RANGES[elem_type])
    return new.add("Max", new.add("Min", value, greatest), least)


def _rounded_to_even(new: Replacement, value: gs.Variable) -> gs.Variable:
    """Round, which opset 11 brought, or before that its like for all that no range cuts off."""
    if new.opset >= 11:
        return new.add("Round", value)
    below = new.add("Floor", value)
    pairs = new.add("Floor", new.add("Mul", below, np.float32(0.5)))
    is_odd = new.add("Greater", below, new.add("Add", pairs, pairs))
    up = new.add("Floor", new.add("Add", value, np.float32(0.5)))
    down = new.add("Ceil", new.add("Sub", value, np.float32(0.5)))
    return new.add("Where", is_odd, up, down)


def summed_products(
    new: Replacement, count: int, most: int, part: Callable[[int, int], gs.Variable]
) -> gs.Variable:
    """Exact int32 sums of products, of which a float32 sums up ``most`` at a time.

    Args:
        new: collects the nodes.
        count: the number of products, or of groups of products.
        most: how many of them are exact in float32.
        part: gives the float32 sums from one number up to another.
    """
    sums = [
        new.add("Cast", part(start, min(start + most, count)), to=_T.INT32)
        for start in range(0, count, most)
    ]
    total = sums[0]
    for each in sums[1:]:
        total = new.add("Add", total, each)
    return total


def why_not_spread(match: Match) -> str | None:
    """Why scales and zero points cannot be brought to the rank of the first input, or None."""
    rank, rank_of_scale = (rank_of(match, each) for each in match.inputs[:2])
    if rank is None or rank_of_scale is None:
        return "the rank of an input is unknown"
    block = match.attribute("block_size", 0)
    is_single = match.shape(match.inputs[1]) in ((), (1,)) and not block
    if is_single:
        return None
    if rank_of_scale != (rank if block else 1) or not -rank <= match.attribute("axis", 1) < rank:
        return "its axis, or the rank of its scale, does not fit its input"
    if block and _axis_length(match) is None:
        return "the quantized axis, which comes in blocks, has an unknown length"
    return None


def _axis_length(match: Match) -> int | None:
    shape = match.shape(match.inputs[0])
    return shape[match.attribute("axis", 1)] if shape else None


def spread(new: Replacement, match: Match, value: gs.Tensor | None, elem_type: int) -> Value:
    """A scale or zero point of QuantizeLinear or DequantizeLinear, cast and ready to broadcast.

    It is one for all, one for each entry of ``axis``, or one for each block of that axis.
    """
    if value is None:
        return None
    wide = new.cast(value, elem_type)
    axis, block = match.attribute("axis", 1), match.attribute("block_size", 0)
    if block:
        length = _axis_length(match) or 0
        return new.add("Gather", wide, np.arange(length, dtype=np.int64) // block, axis=axis)
    if match.shape(match.inputs[1]) in ((), (1,)):
        return wide
    shape = np.ones(rank_of(match, match.inputs[0]) or 0, np.int64)
    shape[axis] = -1
    return new.add("Reshape", wide, shape)
