"""Decode stored weights of 4 bits, or in blocks, that TensorRT does not dequantize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_BITS = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8}


@dataclass(frozen=True)
class _Decoded:
    """The weights in float32."""

    array: npt.NDArray[Any]


class DecodeWeights(Rewrite):
    """DequantizeLinear(stored, scale, zero point) -> (stored - zero point) * scale, stored.

    For uint4, for int4 around another number than zero, and for 8 bits in blocks likewise: as ONNX
    Runtime's quantizers write language models in the QDQ form. TensorRT has int4 around zero only.
    The weights take two to eight times the space: a note says how much.
    """

    pattern = Op("DequantizeLinear", "x", "scale", Optional("zero_point"))

    def check(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> str | _Decoded:
        dtype, block = match.dtype(x), match.attribute("block_size", 0)
        if dtype not in ("int4", "uint4") and not (dtype in _BITS and block):
            return "it has neither 4 bits nor 8 bits in blocks"
        weights, scales = match.constant(x), match.constant(scale)
        zeros = None if zero_point is None else match.constant(zero_point)
        if weights is None or scales is None or (zeros is None) != (zero_point is None):
            return "its weights are not stored in the model itself"
        if not dtype.startswith("u") and (zeros is None or not zeros.any()):
            return "TensorRT takes it: it dequantizes around zero"
        axis = match.attribute("axis", 1)
        if scales.ndim and not -weights.ndim <= axis < weights.ndim:
            return "its axis is none of its weights"
        wide = weights.astype(np.float32)
        factor = spread_blocks(scales, wide.shape, axis, block)
        zero = 0 if zeros is None else spread_blocks(zeros, wide.shape, axis, block)
        return match.dtype_problem(FLOATS, scale) or _Decoded((wide - zero) * factor)

    def rewrite(self, match: Match, scale: gs.Tensor, facts: _Decoded) -> list[gs.Node]:
        new = Replacement(match)
        dtype = match.dtype_attribute("output_dtype") or match.dtype(scale)
        return new.end("Identity", new.cast(facts.array, dtype))

    def note(self, match: Match) -> str:
        bits, dtype = _BITS[match.dtype(match["x"])], match.dtype(match["scale"])
        wide = 32 if dtype == "float32" else 16
        return f"weights of {bits} bits are stored as {dtype}, in {wide // bits} times the space."


def spread_blocks(
    given: npt.NDArray[Any], shape: tuple[int, ...], axis: int, block: int
) -> npt.NDArray[Any]:
    """Return a scale or zero point for each weight.

    Args:
        given: one for each block; without blocks, one for each element of the axis, or one.
        shape: that of the weights.
        axis: the axis.
        block: the number of weights in a block along the axis; 0 for no blocks.
    """
    wide = given.astype(np.float32)
    if block:
        return wide.repeat(block, axis).take(range(shape[axis]), axis)
    if wide.size == 1:
        return wide.reshape(())
    along = [1] * len(shape)
    along[axis] = wide.size
    return wide.reshape(along)
