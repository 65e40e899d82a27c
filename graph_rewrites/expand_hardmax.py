"""Spell out Hardmax along axes whose sizes are known only when the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandHardmax(Rewrite):
    """Hardmax(x) -> Cast(ArgMax(x) == Range(size of the axis)).

    TensorRT makes it a OneHot, whose depth must be known when it builds. Before opset 13 the tensor
    is first flattened to two axes, and TensorRT does not know how where several sizes are unknown.
    """

    pattern = Op("Hardmax", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | int:
        shape, is_flat = match.shape(x), match.onnx_opset < 13
        if not shape:
            return "the rank of its input is unknown, or zero"
        if match.onnx_opset < 11:
            return f"ONNX has Range since opset 11; the model has {match.onnx_opset}"
        axis = int(match.attribute("axis", 1 if is_flat else -1)) % len(shape)
        reached = shape[axis:] if is_flat else shape[axis : axis + 1]
        if None not in reached and not (is_flat and shape.count(None) > 1):
            return "TensorRT takes it: it knows the size of its axis"
        return axis

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[gs.Node]:
        new, axis, rank = Replacement(match), facts, match.rank(x) or 0
        value: NodeInput = x
        if match.onnx_opset < 13:
            value, axis, rank = new.add("Flatten", x, axis=facts), 1, 2
        best = new.add("ArgMax", value, axis=axis, keepdims=1)
        size = new.add("Gather", new.add("Shape", value), np.int64(axis), axis=0)
        places = new.add("Range", np.int64(0), size, np.int64(1))
        is_best = new.add("Equal", best, new.along_axis(places, rank, axis))
        if match.onnx_opset < 13:
            is_best = new.add("Reshape", is_best, new.add("Shape", x))
        return new.end("Cast", is_best, to=match.dtype(x))
