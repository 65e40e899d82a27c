"""MaxUnpool, which TensorRT lacks, becomes a scatter into zeros."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._quantization import is_given
from pluginkit.graph_rewrites._windows import why_not_counted
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandMaxUnpool(Rewrite):
    """MaxUnpool(x, indices) -> ScatterElements(zeros, indices, x), all flat.

    The shape of x must be known, and an output shape be stored in the model. Where an index comes
    twice it is undefined which element is written, as for MaxUnpool.
    """

    pattern = "MaxUnpool"

    def check(self, match: Match) -> str | None:
        """Every size must be known."""
        return why_not_counted(match) or _why_not_unpooled(match)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """A larger output shape adds zeros at the end of each axis."""
        x, indices = match.inputs[:2]
        sizes = _unpooled(match)
        new = Replacement(match)
        zeros = new.add("Cast", np.zeros(math.prod(sizes), np.float32), to=match.elem_type(x))
        flat = (new.add("Reshape", each, np.array([-1])) for each in (indices, x))
        scattered = new.add("ScatterElements", zeros, *flat, axis=0)
        if not is_given(match.inputs, 2):
            return new.end("Reshape", scattered, np.array(sizes))
        shaped = new.add("Reshape", scattered, np.array(sizes))
        wanted = np.asarray(match.constant(match.inputs[2]))
        padded = new.pad(shaped, [0] * len(sizes) + (wanted - sizes).tolist())
        return new.end("Identity", padded)


def _why_not_unpooled(match: Match) -> str | None:
    rank = len(match.shape(match.inputs[0]) or ()) - 2
    steps = [match.attribute(name, [1] * rank) for name in ("kernel_shape", "strides")]
    pads = match.attribute("pads", [0] * 2 * rank)
    if any(len(each) != rank for each in (*steps, pads[::2], pads[1::2])):
        return "its attributes are for another rank than its input's"
    if min(_unpooled(match), default=0) < 0:
        return "its padding takes away more than its windows add"
    if is_given(match.inputs, 2) and match.constant(match.inputs[2]) is None:
        return "its output shape is not stored in the model"
    return None


def _unpooled(match: Match) -> list[int]:
    """The shape that the indices count in."""
    batch, channels, *sizes = (size or 0 for size in match.shape(match.inputs[0]) or ())
    rank = len(sizes)
    kernel = match.attribute("kernel_shape")
    strides = match.attribute("strides", [1] * rank)
    pads = match.attribute("pads", [0] * 2 * rank)
    unpooled = [
        (size - 1) * stride + length - before - after
        for size, stride, length, before, after in zip(
            sizes, strides, kernel, pads[:rank], pads[rank:], strict=True
        )
    ]
    return [batch, channels, *unpooled]
