"""Spell out OneHot of a depth that is known only when the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandOneHot(Rewrite):
    """OneHot(indices, depth, values) -> Where(indices == Range(depth), on, off).

    TensorRT supports depths that are stored, or follow from shapes that the model declares.
    """

    pattern = Op("OneHot", "indices", "depth", "values")

    def check(self, match: Match, indices: gs.Tensor, depth: gs.Tensor) -> str | int:
        rank = match.rank(indices)
        if rank is None:
            return "the rank of its indices is unknown"
        if match.value_from_shapes(depth) is not None:
            return "TensorRT takes it: its depth is known"
        axis = int(match.attribute("axis", -1))
        return axis + rank + 1 if axis < 0 else axis

    def rewrite(
        self, match: Match, indices: gs.Tensor, depth: gs.Tensor, values: gs.Tensor, facts: int
    ) -> list[gs.Node]:
        new, rank = Replacement(match), match.rank(indices) or 0
        size = new.add("Reshape", new.cast(depth, "int64"), np.array([], np.int64))
        counted = new.add("Range", np.int64(0), size, np.int64(1))
        numbers = new.along_axis(counted, rank + 1, facts)
        given = new.unsqueeze(new.cast(indices, "int64"), [facts])
        is_negative = new.add("Less", given, np.int64(0))
        places = new.add("Where", is_negative, new.add("Add", given, size), given)
        off, on = (new.add("Gather", values, np.int64(at), axis=0) for at in range(2))
        return new.end("Where", new.add("Equal", places, numbers), on, off)
