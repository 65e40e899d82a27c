"""Spell out BatchNormalization in training mode, which TensorRT refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandBatchStatistics(Rewrite):
    """BatchNormalization(x, training_mode=1) -> (x - mean) * scale / sqrt(variance) + bias.

    The mean and the variance are those of the batch, over all axes but the second; the running ones
    move towards them by 1 - momentum. It matches from opset 14 on, for float32, float16 and
    bfloat16, and computes in float32; the rank must be known.
    """

    pattern = Op("BatchNormalization", "x", ..., attributes={"training_mode": 1})

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if (match.rank(x) or 0) < 2:
            return "the rank of its input is unknown or below 2"
        return match.dtype_problem(FLOATS, *match.inputs)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        """Make the nodes; as in ONNX, the variance is the mean square of the deviations."""
        new = Replacement(match)
        wide, scale, bias, *running = (new.cast(each, "float32") for each in match.inputs)
        rank = match.rank(x) or 0
        axes = [axis for axis in range(rank) if axis != 1]
        mean = new.reduce("ReduceMean", wide, axes, keepdims=True)
        centered = new.add("Sub", wide, mean)
        squares = new.add("Mul", centered, centered)
        variance = new.reduce("ReduceMean", squares, axes, keepdims=True)
        _move_running_statistics(new, match, running, [mean, variance])
        epsilon = np.float32(match.attribute("epsilon", 1e-5))
        deviation = new.add("Sqrt", new.add("Add", variance, epsilon))
        normalized = new.add("Div", centered, deviation)
        scaled = new.add("Mul", normalized, new.along_axis(scale, rank - 1, 0))
        y = new.add("Add", scaled, new.along_axis(bias, rank - 1, 0))
        return new.into(match.outputs[:1], "Cast", y, to=match.dtype(x))


def _move_running_statistics(
    new: Replacement, match: Match, running: list[NodeInput], of_batch: list[gs.Variable]
) -> None:
    """Produce the running mean and variance, if the node has these outputs."""
    momentum = np.float32(match.attribute("momentum", 0.9))
    dtypes = map(match.dtype, match.inputs[3:])
    for output, old, dtype, batch in zip(
        match.outputs[1:], running, dtypes, of_batch, strict=False
    ):
        flat = new.add("Reshape", batch, np.array([-1]))
        kept = new.add("Mul", old, momentum)
        moved = new.add("Add", kept, new.add("Mul", flat, 1 - momentum))
        if output.name:
            new.into([output], "Cast", moved, to=dtype)
