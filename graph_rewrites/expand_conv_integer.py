"""ConvInteger, which TensorRT lacks, becomes a convolution in float32 that is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._convolutions import convolved, why_not_convolve
from pluginkit.graph_rewrites._quantization import given, is_given, rank_of
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandConvInteger(Rewrite):
    """ConvInteger(x, w) -> Cast(Conv(x - zero point of x, w - zero point of w), int32).

    The differences take 9 bits, which float32 and TF32 hold, and 258 of their products sum up
    exactly in float32. Where an element has more, the input channels are convolved in groups, added
    in int32; the weights' shape must be known, and ``group`` be 1 for that.
    """

    pattern = "ConvInteger"

    def check(self, match: Match) -> str | None:
        """The weights' shape must be known, and their zero point's rank."""
        inputs = match.inputs
        if is_given(inputs, 3) and rank_of(match, inputs[3]) is None:
            return "the rank of the weights' zero point is unknown"
        return why_not_convolve(match, inputs[0], inputs[1])

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Zero points are optional."""
        x, w = match.inputs[:2]
        zeros = [given(match.inputs, at) for at in (2, 3)]
        new = Replacement(match)
        return new.end("Identity", convolved(new, match, (x, zeros[0]), (w, zeros[1])))
