"""BatchNormalization in training mode, which TensorRT refuses, computes its statistics itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._quantization import rank_of
from pluginkit.graph_rewrites._types import FLOATS
from pluginkit.onnx import Match, Op, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandBatchStatistics(Rewrite):
    """BatchNormalization(x, training_mode=1) -> (x - mean) * scale / sqrt(variance) + bias.

    The mean and the variance are those of the batch, over all axes but the second; the running ones
    move towards them by 1 - momentum. From opset 14 on, in float32, of float32, float16 and
    bfloat16; the rank must be known.
    """

    pattern = Op("BatchNormalization", attributes={"training_mode": 1})

    def check(self, match: Match) -> str | None:
        """The types and the rank must be known."""
        if any(match.elem_type(each) not in FLOATS for each in match.inputs):
            return "a type is unknown, or none of float32, float16 and bfloat16"
        if (rank_of(match, match.inputs[0]) or 0) < 2:
            return "the rank of its input is unknown or below 2"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The variance is that of the population."""
        new = Replacement(match)
        x, scale, bias, *running = (new.cast(each, _T.FLOAT) for each in match.inputs)
        rank = rank_of(match, match.inputs[0]) or 0
        axes = [axis for axis in range(rank) if axis != 1]
        mean = new.reduce("ReduceMean", x, axes, keepdims=True)
        centered = new.add("Sub", x, mean)
        squares = new.add("Mul", centered, centered)
        variance = new.reduce("ReduceMean", squares, axes, keepdims=True)
        self._move_running(new, match, running, [mean, variance])

        def per_channel(value: Value) -> gs.Variable:
            return new.add("Reshape", value, np.array([-1] + [1] * (rank - 2)))

        epsilon = np.float32(match.attribute("epsilon", 1e-5))
        deviation = new.add("Sqrt", new.add("Add", variance, epsilon))
        scaled = new.add("Mul", new.add("Div", centered, deviation), per_channel(scale))
        y = new.add("Add", scaled, per_channel(bias))
        return new.into(match.outputs[:1], "Cast", y, to=match.elem_type(match.inputs[0]))

    @staticmethod
    def _move_running(
        new: Replacement, match: Match, running: list[Value], of_batch: list[gs.Variable]
    ) -> None:
        momentum = np.float32(match.attribute("momentum", 0.9))
        old_types = map(match.elem_type, match.inputs[3:])
        for output, old, elem_type, batch in zip(
            match.outputs[1:], running, old_types, of_batch, strict=False
        ):
            flat = new.add("Reshape", batch, np.array([-1]))
            kept = new.add("Mul", old, momentum)
            moved = new.add("Add", kept, new.add("Mul", flat, 1 - momentum))
            if output.name:
                new.into([output], "Cast", moved, to=elem_type)
