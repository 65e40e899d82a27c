"""Drop a sequence that a tensor is split into and joined from again."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Op, Replacement, Rewrite


class DropSplitSequence(Rewrite):
    """ConcatFromSequence(SplitToSequence(x, lengths)) -> Identity(x).

    Whatever the lengths, along the same axis; joined along a new axis if the split removed it.
    """

    pattern = Op("ConcatFromSequence", Op("SplitToSequence", "x", ..., name="split"))

    def check(self, match: Match, split: gs.Node) -> str | None:
        rank = match.rank(match["x"])
        axes = match.attribute("axis"), split.attrs.get("axis", 0)
        if any(axis < 0 for axis in axes) and rank is not None:
            axes = axes[0] % rank, axes[1] % rank
        is_removed = len(split.inputs) < 2 and not split.attrs.get("keepdims", 1)
        if axes[0] != axes[1] or bool(match.attribute("new_axis", 0)) != is_removed:
            return "it does not join the tensor as it was split"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Identity", x)
