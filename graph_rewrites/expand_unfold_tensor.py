"""Gather the windows that ONNX Runtime's UnfoldTensor takes along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_graphsurgeon as gs


class ExpandUnfoldTensor(Rewrite):
    """com.microsoft.UnfoldTensor(x) -> Transpose(Gather(x, places of all windows)).

    The size of the axis must be known; the windows become the last axis.
    """

    pattern = Op("UnfoldTensor", "x", domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor) -> str | npt.NDArray[np.int64]:
        shape = match.shape(x)
        if not shape:
            return "the rank of its input is unknown, or zero"
        size, window = shape[self._axis(match, x)], match.attribute("size", 1)
        if size is None:
            return "the size of its axis is unknown"
        firsts = np.arange(0, size - window + 1, match.attribute("step", 1))
        return firsts[:, None] + np.arange(window)

    def rewrite(self, match: Match, x: gs.Tensor, facts: npt.NDArray[np.int64]) -> list[gs.Node]:
        new, axis, rank = Replacement(match), self._axis(match, x), match.rank(x) or 0
        windows = new.add("Gather", x, facts, axis=axis)
        order = [each for each in range(rank + 1) if each != axis + 1]
        return new.end("Transpose", windows, perm=[*order, axis + 1])

    @staticmethod
    def _axis(match: Match, x: gs.Tensor) -> int:
        axis: int = match.attribute("dim", -1) % (match.rank(x) or 1)
        return axis
