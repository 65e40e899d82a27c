"""Count in float32 where Range counts in 16-bit floats, which TensorRT refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_NARROW = ("float16", "bfloat16")


class WidenRange(Rewrite):
    """Range(start, limit, step) of 16-bit floats -> Cast(Range of float32).

    The numbers are rounded once, those of a long Range of float16 too.
    """

    pattern = Op("Range", "start", "limit", "step")

    def check(self, match: Match, start: gs.Tensor) -> str | None:
        return match.dtype_problem(_NARROW, start)

    def rewrite(
        self, match: Match, start: gs.Tensor, limit: gs.Tensor, step: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        wide = [new.cast(each, "float32") for each in (start, limit, step)]
        return new.end("Cast", new.add("Range", *wide), to=match.dtype(start))
