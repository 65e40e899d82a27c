"""Decode stored weights of 4 bits that TensorRT does not dequantize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _Decoded:
    """The weights in float32."""

    array: npt.NDArray[Any]


class DecodeWeights(Rewrite):
    """DequantizeLinear(stored, scale, zero point) -> (stored - zero point) * scale, stored.

    For uint4, and for int4 around another number than zero, as ONNX Runtime's quantizers write
    language models in the QDQ form. TensorRT has int4 around zero only. The weights take four or
    eight times the space: a note says how much.
    """

    pattern = Op("DequantizeLinear", "x", "scale", Optional("zero_point"))

    def check(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> str | _Decoded:
        dtype, block = match.dtype(x), match.attribute("block_size", 0)
        if dtype not in ("int4", "uint4"):
            return "it has no 4 bits"
        weights, scales = match.constant(x), match.constant(scale)
        zeros = None if zero_point is None else match.constant(zero_point)
        if weights is None or scales is None or (zeros is None) != (zero_point is None):
            return "its weights are not stored in the model itself"
        if dtype == "int4" and (zeros is None or not zeros.any()):
            return "TensorRT takes it: it dequantizes around zero"
        axis, wide = match.attribute("axis", 1), weights.astype(np.float32)
        zeros = np.zeros_like(scales) if zeros is None else zeros
        spread = [spread_blocks(each, wide.shape, axis, block) for each in (zeros, scales)]
        zero, factor = spread
        if zero is None or factor is None:
            return "its scales or zero points do not fit its weights"
        return match.dtype_problem(FLOATS, scale) or _Decoded((wide - zero) * factor)

    def rewrite(self, match: Match, scale: gs.Tensor, facts: _Decoded) -> list[gs.Node]:
        new = Replacement(match)
        dtype = match.dtype_attribute("output_dtype") or match.dtype(scale)
        return new.end("Identity", new.cast(facts.array, dtype))

    def note(self, match: Match) -> str:
        dtype = match.dtype(match["scale"])
        times = 8 if dtype == "float32" else 4
        return f"weights of 4 bits are stored as {dtype}, in {times} times the space."


class DecodeMicrosoftWeights(DecodeWeights):
    """com.microsoft.DequantizeLinear(stored, scale, zero point) -> (stored - zero point) * scale.

    ONNX Runtime writes its own operator where the model's opset is below 21.
    """

    pattern = Op("DequantizeLinear", "x", "scale", Optional("zero_point"), domain=MICROSOFT)


def spread_blocks(
    given: npt.NDArray[Any], shape: tuple[int, ...], axis: int, block: int
) -> npt.NDArray[Any] | None:
    """Return a scale or zero point for each weight; None if they do not fit.

    Args:
        given: one for each block; without blocks, one for each element of the axis, or one.
        shape: that of the weights.
        axis: the axis.
        block: the number of weights in a block along the axis; 0 for no blocks.
    """
    wide = given.astype(np.float32)
    if not block and wide.size == 1:
        return wide.reshape(())
    if not -len(shape) <= axis < len(shape):
        return None
    along = [1] * len(shape)
    along[axis] = shape[axis]
    if not block:
        return wide.reshape(along) if wide.size == shape[axis] else None
    along = list(shape)
    along[axis] = -(-shape[axis] // block)
    if list(wide.shape) != along:
        return None
    return wide.repeat(block, axis).take(range(shape[axis]), axis)
