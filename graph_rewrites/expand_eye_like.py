"""Spell out EyeLike of a size that is known only when the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandEyeLike(Rewrite):
    """EyeLike(x) -> Cast(row + k == column), with Range for the numbers of rows and columns.

    For a matrix with a dynamic dimension; TensorRT supports the others.
    """

    pattern = Op("EyeLike", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        shape = match.shape(x)
        if shape is None or len(shape) != 2:
            return "its input is not known to be a matrix"
        if None not in shape:
            return "TensorRT takes it: its size is known"
        return None if match.dtype(match.outputs[0]) else "the type of its output is unknown"

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        shape = new.add("Shape", x)

        def numbers(axis: int) -> gs.Variable:
            size = new.add("Gather", shape, np.int64(axis), axis=0)
            return new.unsqueeze(new.add("Range", np.int64(0), size, np.int64(1)), [1 - axis])

        rows = new.add("Add", numbers(0), np.int64(match.attribute("k", 0)))
        is_one = new.add("Equal", rows, numbers(1))
        return new.end("Cast", is_one, to=match.dtype(match.outputs[0]))
