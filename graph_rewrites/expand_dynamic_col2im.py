"""Turn Col2Im of an image whose size only a run tells into sums of padded columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._image_blocks import BlockAxis, block_axes
from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: Each element of a block's axis becomes a Pad and an Add.
_LONGEST = 64


class ExpandDynamicCol2Im(Rewrite):
    """Col2Im(x) of a dynamic image -> Slice(Sum(Pad(each element of the blocks))), by axis.

    The blocks' shape must be stored in the model, of one axis or two. Blocks that lie more than a
    pixel apart get zeros in between. Computed in float32. ReplaceCol2Im and ExpandCol2Im take
    images whose shape is stored.
    """

    pattern = Op("Col2Im", "x", "image_shape", "block_shape")

    def check(
        self, match: Match, x: gs.Tensor, image_shape: gs.Tensor, block_shape: gs.Tensor
    ) -> str | list[BlockAxis]:
        if match.constant(image_shape) is not None:
            return "the image's shape is stored: ReplaceCol2Im and ExpandCol2Im take it"
        block = match.constant(block_shape)
        if block is None:
            return "the block's shape is not stored in the model"
        if not 0 < block.size <= 2:
            return f"the image has {block.size} axes; expected 1 or 2, for TensorRT has 8 in all"
        if block.max() > _LONGEST:
            return f"its blocks are longer than {_LONGEST} elements"
        return match.dtype_problem(FLOATS, x) or block_axes(match, block.tolist())

    def rewrite(
        self, match: Match, x: gs.Tensor, image_shape: gs.Tensor, facts: list[BlockAxis]
    ) -> list[gs.Node]:
        new = Replacement(match)
        image = new.add("Cast", image_shape, to="int64")
        sizes = [new.slice(image, 0, at, at + 1) for at in range(len(facts))]
        value = _spread(new, new.cast(x, "float32"), facts, sizes)
        rank = 2 + 2 * len(facts)
        for at, (axis, size) in enumerate(zip(facts, sizes, strict=True), start=2):
            rank -= 1
            total = _summed(new, value, axis, at, rank)
            begin = np.array([axis.begin])
            value = new.add("Slice", total, begin, new.add("Add", size, begin), np.array([at]))
        return new.end("Cast", value, to=match.dtype(x))


def _summed(
    new: Replacement, value: gs.Variable, axis: BlockAxis, at: int, rank: int
) -> gs.Variable:
    """Return the sum of a block's elements along an axis, each shifted to where it lies."""
    total = None
    for element in range(axis.block):
        pads = [0] * 2 * rank
        pads[at] = element * axis.dilation
        pads[rank + at] = (axis.block - 1 - element) * axis.dilation
        part = new.pad(new.add("Gather", value, np.int64(element), axis=at), pads)
        total = part if total is None else new.add("Add", total, part)
    return total


def _spread(
    new: Replacement, x: gs.Tensor, axes: list[BlockAxis], sizes: list[gs.Variable]
) -> gs.Variable:
    """Return [batch, channels, block, blocks * stride, ...], a block and the blocks of each axis.

    Zeros are between blocks. With them, and what the block's other elements take, every axis
    becomes as long as its padded image or longer.
    """
    counts, wide = [], []
    for axis, size in zip(axes, sizes, strict=True):
        room = new.add("Sub", size, np.array([axis.least]))
        steps = new.add("Div", room, np.array([axis.stride]))
        counts.append(new.add("Add", steps, np.array([1])))
        wide.append(new.add("Mul", counts[-1], np.array([axis.stride])))
    rank = len(axes)
    batch = new.slice(new.add("Shape", x), 0, 0, 1)
    blocks = [np.array([axis.block]) for axis in axes]
    shape = new.add("Concat", batch, np.array([-1]), *blocks, *counts, axis=0)
    order = [0, 1, *(each for at in range(rank) for each in (2 + at, 2 + rank + at))]
    value = new.add("Transpose", new.add("Reshape", x, shape), perm=order)
    if all(axis.stride == 1 for axis in axes):
        return value
    between = [4 + 3 * at for at in range(rank)]
    pads = [0] * 2 * (2 + 3 * rank)
    for at, axis in zip(between, axes, strict=True):
        pads[2 + 3 * rank + at] = axis.stride - 1
    value = new.pad(new.unsqueeze(value, between), pads)
    spread = [each for pair in zip(blocks, wide, strict=True) for each in pair]
    return new.add("Reshape", value, new.add("Concat", batch, np.array([-1]), *spread, axis=0))
