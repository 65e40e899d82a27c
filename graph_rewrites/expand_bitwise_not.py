"""Turn BitwiseNot, which TensorRT lacks, into a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import INTEGERS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandBitwiseNot(Rewrite):
    """BitwiseNot(x) -> -1 - x, or 255 - x for uint8.

    For uint8, int8, int32 and int64, without overflow: 8 bits are computed in int32.
    """

    pattern = Op("BitwiseNot", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(INTEGERS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        dtype = match.dtype(x)
        wide = "int64" if dtype == "int64" else "int32"
        all_bits = np.array(255 if dtype == "uint8" else -1, wide)
        new = Replacement(match)
        return new.end("Cast", new.add("Sub", all_bits, new.cast(x, wide)), to=dtype)
