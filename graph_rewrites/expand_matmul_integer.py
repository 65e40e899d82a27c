"""MatMulInteger, which TensorRT lacks, becomes products in float32 that are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._matrix_products import multiplied, why_not_multiply
from pluginkit.graph_rewrites._quantization import given, is_given, rank_of
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandMatMulInteger(Rewrite):
    """MatMulInteger(a, b) -> Cast(MatMul(a - zero point of a, b - zero point of b), int32).

    The differences take 9 bits, which float32 and TF32 hold, and 258 of their products sum up
    exactly in float32. Longer sums are cut into such parts, added in int32; their length must be
    known.
    """

    pattern = "MatMulInteger"

    def check(self, match: Match) -> str | None:
        """Both shapes must be known well enough."""
        inputs = match.inputs
        if any(is_given(inputs, at) and rank_of(match, inputs[at]) is None for at in (2, 3)):
            return "the rank of a zero point is unknown"
        return why_not_multiply(match, inputs[0], inputs[1])

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Zero points are optional."""
        a, b = match.inputs[:2]
        zeros = [given(match.inputs, at) for at in (2, 3)]
        new = Replacement(match)
        return new.end("Identity", multiplied(new, match, (a, zeros[0]), (b, zeros[1])))
