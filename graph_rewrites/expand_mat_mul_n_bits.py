"""Expand products with weights of 2, 4 or 8 bits, as in language models."""

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
class _Weights:
    """The weights as they are multiplied: [K, N]."""

    array: npt.NDArray[Any]


class ExpandMatMulNBits(Rewrite):
    """com.microsoft.MatMulNBits(x, packed, scales) -> MatMul(x, (unpacked - zero) * scales) + bias.

    The weights are decoded when the model is rewritten, and stored in the type of x, which takes
    two to sixteen times the space: a note says how much. They must be stored in the model itself.
    """

    pattern = Op(
        "MatMulNBits",
        *("x", "packed", "scales", Optional("zero"), Optional("groups"), Optional("bias")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        packed: gs.Tensor,
        scales: gs.Tensor,
        zero: gs.Tensor | None,
        groups: gs.Tensor | None,
    ) -> str | _Weights:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        if groups is not None and zero is not None:
            return "its groups have zero points, which ONNX Runtime's CPU does not read"
        if match.attribute("weight_prepacked", 0):
            return "its weights are packed for one GPU"
        if match.attribute("bits", 4) not in (2, 4, 8):
            return "its weights have neither 2, 4 nor 8 bits"
        given = [each for each in (packed, scales, zero) if each is not None]
        stored = [array for each in given if (array := match.constant(each)) is not None]
        of_rows = None if groups is None else match.constant(groups)
        if len(stored) < len(given) or (groups is not None and of_rows is None):
            return "its weights are not stored in the model itself"
        return _decoded(match, of_rows, *stored)

    def rewrite(
        self, match: Match, x: gs.Tensor, bias: gs.Tensor | None, facts: _Weights
    ) -> list[gs.Node]:
        new = Replacement(match)
        weights = new.cast(facts.array, match.dtype(x))
        if bias is None:
            return new.end("MatMul", x, weights)
        return new.end("Add", new.add("MatMul", x, weights), bias)

    def note(self, match: Match) -> str:
        bits = match.attribute("bits", 4)
        dtype = match.dtype(match.inputs[0])
        wide = 32 if dtype == "float32" else 16
        return (
            f"weights of {bits} bits are stored as {dtype}, in {wide // bits} times the space; a "
            "DequantizeLinear of int4 in blocks keeps them small."
        )


def _decoded(
    match: Match,
    groups: npt.NDArray[Any] | None,
    packed: npt.NDArray[Any],
    scales: npt.NDArray[Any],
    zero: npt.NDArray[Any] | None = None,
) -> str | _Weights:
    """Return the decoded weights, or why they cannot be read.

    The group of a row says which scale and which zero point it has, in place of its block.
    """
    bits, block = match.attribute("bits", 4), match.attribute("block_size", 0)
    columns, rows = match.attribute("N", 0), match.attribute("K", 0)
    if columns < 1 or rows < 1 or block < 1:
        return "its sizes are missing"
    blocks = -(-rows // block)
    if packed.size != columns * blocks * block * bits // 8 or scales.size != columns * blocks:
        return "its weights or scales are not as many as its sizes say"
    values = unpacked(packed.reshape(columns, -1), bits).reshape(columns, blocks, block)
    middle: npt.NDArray[Any] = np.full((columns, blocks), 2 ** (bits - 1), np.float32)
    if zero is not None and zero.dtype == np.uint8:
        middle = unpacked(zero.reshape(columns, -1), bits)[:, :blocks].astype(np.float32)
    elif zero is not None:
        middle = zero.reshape(columns, blocks).astype(np.float32)
    factor = scales.reshape(columns, blocks).astype(np.float32)
    at = np.arange(blocks * block) // block
    if groups is not None:
        if groups.size < rows or groups.min(initial=0) < 0 or groups.max(initial=0) >= blocks:
            return "its groups do not fit its weights"
        at = groups.ravel()[:rows]
    whole = values.reshape(columns, -1)[:, : at.size].astype(np.float32)
    wide = (whole - middle[:, at]) * factor[:, at]
    return _Weights(np.ascontiguousarray(wide[:, :rows].T))


def unpacked(packed: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Return the numbers in rows of bytes, the lowest bits of a byte first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    return parts.reshape(*packed.shape[:-1], -1)
