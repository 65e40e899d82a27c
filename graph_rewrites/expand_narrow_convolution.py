"""Give convolutions weights in floating point where they are stored in 4 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import AnyOf, Match, Op, Optional, Replacement, Rewrite

_Array = npt.NDArray[Any]
_WEIGHTS = ("weights", "scale", Optional("zero_point"))


class ExpandNarrowConvolution(Rewrite):
    """Conv(x, DequantizeLinear(int4 weights)) -> Conv(x, float weights), and ConvTranspose.

    TensorRT takes weights of 4 bits for matrix products alone.
    """

    pattern = Op(
        ("Conv", "ConvTranspose"),
        "x",
        AnyOf(
            Op("DequantizeLinear", *_WEIGHTS, name="dequantize"),
            Op("DequantizeLinear", *_WEIGHTS, domain=MICROSOFT, name="dequantize"),
        ),
        Optional("bias"),
    )

    def check(
        self,
        match: Match,
        weights: gs.Tensor,
        scale: gs.Tensor,
        zero_point: gs.Tensor | None,
        dequantize: gs.Node,
    ) -> str | _Array:
        narrow, factor = match.constant(weights), match.constant(scale)
        zero = np.zeros(()) if zero_point is None else match.constant(zero_point)
        problem = match.dtype_problem(("int4", "uint4"), weights)
        if problem is not None:
            return problem
        if narrow is None or factor is None or zero is None:
            return "its weights, their scale or zero point are not stored in the model"
        if dequantize.attrs.get("block_size", 0):
            return "its weights are quantized in blocks"
        axis = dequantize.attrs.get("axis", 1) % narrow.ndim
        zero, wide = (_along(each.astype(np.float32), narrow.ndim, axis) for each in (zero, factor))
        return np.asarray(((narrow.astype(np.float32) - zero) * wide).astype(factor.dtype))

    def rewrite(
        self, match: Match, x: gs.Tensor, bias: gs.Tensor | None, facts: _Array
    ) -> list[gs.Node]:
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        return Replacement(match).end(match.proto.op_type, x, facts, bias, **given)


def _along(value: _Array, rank: int, axis: int) -> _Array:
    """Return one value for all, or one for each element of an axis, in a shape that broadcasts."""
    return value.reshape(-1, *[1] * (rank - 1 - axis)) if value.size > 1 else value.reshape(())
