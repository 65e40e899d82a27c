"""Expand further operators of ONNX Runtime whose weights are packed: embeddings, FP4 and NF4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.graph_rewrites.decode_weights import spread_blocks
from pluginkit.graph_rewrites.expand_mat_mul_n_bits import unpacked
from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_Array = npt.NDArray[Any]
#: What 4 bits stand for in FP4, whose last bit but three is the sign, and in NF4.
_FP4 = np.array([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4], np.float32)
_NF4 = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    np.float32,
)
_VALUES = (np.concatenate([_FP4, -_FP4]), _NF4)


@dataclass(frozen=True)
class _Table:
    """The weights in float32."""

    array: _Array


class ExpandGatherBlockQuantized(Rewrite):
    """com.microsoft.GatherBlockQuantized(table, indices, scales) -> Gather(decoded table, indices).

    As ONNX Runtime's quantizers write embeddings. The table is decoded when the model is rewritten,
    and stored in the type of the scales: a note says how much space that takes.
    """

    pattern = Op(
        "GatherBlockQuantized",
        *("table", "indices", "scales", Optional("zero_points")),
        domain=MICROSOFT,
    )

    def check(
        self, match: Match, table: gs.Tensor, scales: gs.Tensor, zero_points: gs.Tensor | None
    ) -> str | _Table:
        dtype, bits = match.dtype(table), match.attribute("bits", 4)
        if dtype not in ("int4", "uint4", "uint8") or bits not in (2, 4, 8):
            return "its weights are no integers of 2, 4 or 8 bits"
        given = [each for each in (table, scales, zero_points) if each is not None]
        arrays = [array for each in given if (array := match.constant(each)) is not None]
        if len(arrays) < len(given):
            return "its weights are not stored in the model itself"
        packed, factors, *zeros = arrays
        axis, block = match.attribute("quantize_axis", 1), match.attribute("block_size", 128)
        if dtype == "uint8":
            packed = unpacked(packed, bits)
            zeros = [unpacked(each, bits)[..., : factors.shape[-1]] for each in zeros] or [
                np.full_like(factors, 2 ** (bits - 1))
            ]
        wide = packed.astype(np.float32)
        middle = zeros[0] if zeros else np.zeros_like(factors)
        spread = [spread_blocks(each, wide.shape, axis, block) for each in (middle, factors)]
        zero, factor = spread
        if zero is None or factor is None:
            return "its scales or zero points do not fit its weights"
        return match.dtype_problem(FLOATS, scales) or _Table((wide - zero) * factor)

    def rewrite(
        self, match: Match, indices: gs.Tensor, scales: gs.Tensor, facts: _Table
    ) -> list[gs.Node]:
        new = Replacement(match)
        table = new.cast(facts.array, match.dtype(scales))
        return new.end("Gather", table, indices, axis=match.attribute("gather_axis", 0))

    def note(self, match: Match) -> str:
        return f"an embedding of few bits is stored as {match.dtype(match['scales'])}."


class ExpandMatMulBnb4(Rewrite):
    """com.microsoft.MatMulBnb4(x, packed, largest) -> MatMul(x, values of 4 bits * largest).

    FP4 or NF4, in blocks with their largest magnitudes, as bitsandbytes has them. The weights are
    decoded when the model is rewritten, and stored in the type of x: a note says how much space
    that takes.
    """

    pattern = Op("MatMulBnb4", "x", "packed", "largest", domain=MICROSOFT)

    def check(
        self, match: Match, x: gs.Tensor, packed: gs.Tensor, largest: gs.Tensor
    ) -> str | _Table:
        codes, factors = match.constant(packed), match.constant(largest)
        if codes is None or factors is None:
            return "its weights are not stored in the model itself"
        columns, rows, block = (match.attribute(name, 0) for name in ("N", "K", "block_size"))
        kind = match.attribute("quant_type", -1)
        count = columns * rows
        if (
            kind not in (0, 1)
            or block < 1
            or codes.size != (count + 1) // 2
            or factors.size != -(-count // block)
        ):
            return "its weights are not as many as its sizes say, or neither FP4 nor NF4"
        codes = np.stack([codes.ravel() >> 4, codes.ravel() & 15], 1).ravel()[:count]
        wide = _VALUES[kind][codes] * factors.astype(np.float32).ravel().repeat(block)[: codes.size]
        wide = wide.reshape(columns, rows)
        is_transposed = match.attribute("transB", 1)
        return match.dtype_problem(FLOATS, x) or _Table(wide.T if is_transposed else wide)

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Table) -> list[gs.Node]:
        new = Replacement(match)
        weights = new.cast(np.ascontiguousarray(facts.array), match.dtype(x))
        return new.end("MatMul", x, weights)

    def note(self, match: Match) -> str:
        return f"weights of 4 bits are stored as {match.dtype(match['x'])}."
