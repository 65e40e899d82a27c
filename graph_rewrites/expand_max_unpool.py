"""Turn MaxUnpool, which TensorRT lacks, into a scatter into zeros."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandMaxUnpool(Rewrite):
    """MaxUnpool(x, indices) -> ScatterElements(zeros, indices, x), all flat.

    The shape of x must be known, and an output shape must be stored in the model. If an index
    occurs twice, it is undefined which element is written, as for MaxUnpool.
    """

    pattern = Op("MaxUnpool", "x", "indices", Optional("output_shape"))

    def check(self, match: Match, x: gs.Tensor, output_shape: gs.Tensor | None) -> str | list[int]:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        shape = match.shape(x)
        if shape is None or None in shape:
            return "the shape of its input is not known"
        if output_shape is not None and match.constant(output_shape) is None:
            return "its output shape is not stored in the model"
        return _unpooled_shape(match, [size or 0 for size in shape])

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        indices: gs.Tensor,
        output_shape: gs.Tensor | None,
        facts: list[int],
    ) -> list[gs.Node]:
        """A larger output shape adds zeros at the end of each axis."""
        new = Replacement(match)
        zeros = new.add("Cast", np.zeros(math.prod(facts), np.float32), to=match.dtype(x))
        flat = (new.add("Reshape", each, np.array([-1])) for each in (indices, x))
        scatter = "ScatterElements" if match.opset >= 11 else "Scatter"
        scattered = new.add(scatter, zeros, *flat, axis=0)
        if output_shape is None:
            return new.end("Reshape", scattered, np.array(facts))
        shaped = new.add("Reshape", scattered, np.array(facts))
        missing = np.asarray(match.constant(output_shape)) - facts
        return new.end("Identity", new.pad(shaped, [0] * len(facts) + missing.tolist()))


def _unpooled_shape(match: Match, shape: list[int]) -> str | list[int]:
    """Return the shape that the indices refer to, or why there is none."""
    batch, channels, *sizes = shape
    rank = len(sizes)
    kernel = match.attribute("kernel_shape", [1] * rank)
    strides = match.attribute("strides", [1] * rank)
    pads = match.attribute("pads", [0] * 2 * rank)
    if any(len(each) != rank for each in (kernel, strides, pads[::2], pads[1::2])):
        return "its attributes are for another rank than its input's"
    unpooled = [
        (size - 1) * stride + length - before - after
        for size, stride, length, before, after in zip(
            sizes, strides, kernel, pads[:rank], pads[rank:], strict=True
        )
    ]
    if min(unpooled, default=0) < 0:
        return "its padding takes away more than its windows add"
    return [batch, channels, *unpooled]
