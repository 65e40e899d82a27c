"""Turn Col2Im, which TensorRT lacks, into a sum of gathered columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._image_blocks import block_axes
from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_LARGEST = 2**24
IndexArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Blocks:
    """The blocks of an image.

    Attributes:
        image: the sizes of the image.
        along: for each axis, the position in the image of each element of each block,
            ``[elements, blocks]``.
    """

    image: list[int]
    along: list[IndexArray]


class ExpandCol2Im(Rewrite):
    """Col2Im(x) -> ReduceSum(Gather(x, for each pixel the columns that cover it)).

    The shapes of the image and of its blocks must be stored in the model. Every pixel gathers as
    many columns as the pixel that most blocks cover, padded with zeros.
    """

    pattern = Op("Col2Im", "x", "image_shape", "block_shape")

    def check(
        self, match: Match, x: gs.Tensor, image_shape: gs.Tensor, block_shape: gs.Tensor
    ) -> str | _Blocks:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        image, block = match.constant(image_shape), match.constant(block_shape)
        if image is None or block is None:
            return "the image's shape or the block's is not stored in the model"
        shape = match.shape(x)
        if shape is not None and len(shape) != 3:
            return "its input has not three axes"
        blocks = _blocks(match, image.tolist(), block.tolist())
        if isinstance(blocks, str):
            return blocks
        count = math.prod(each.shape[1] for each in blocks.along)
        if shape is not None and shape[2] not in (None, count):
            return "its input has another number of columns than the blocks in the image"
        return blocks

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Blocks) -> list[gs.Node]:
        """Append a zero to the columns, for pixels that fewer blocks cover."""
        table, columns = _columns_of_pixels(facts)
        new = Replacement(match)
        wide = new.cast(x, "float32")
        value = new.add("Reshape", wide, np.array([0, -1, columns]))
        value = new.pad(value, [0, 0, 0, 0, 0, 1])
        value = new.reduce("ReduceSum", new.add("Gather", value, table, axis=2), [-1])
        value = new.add("Reshape", value, np.array([0, 0, *facts.image]))
        return new.end("Cast", value, to=match.dtype(x))


def _blocks(match: Match, image: list[int], block: list[int]) -> str | _Blocks:
    """Return the positions of the elements of the blocks, or why they are unknown."""
    axes = block_axes(match, block, image)
    if isinstance(axes, str):
        return axes
    if math.prod(image) * math.prod(block) > _LARGEST:
        return f"its pixels times the elements of a block are more than {_LARGEST}"
    along = []
    for size, axis in zip(image, axes, strict=True):
        starts = np.arange((size - axis.least) // axis.stride + 1) * axis.stride - axis.begin
        along.append(np.arange(axis.block)[:, None] * axis.dilation + starts)
    return _Blocks(image, along)


def _columns_of_pixels(blocks: _Blocks) -> tuple[IndexArray, int]:
    """Return the columns to add up for each pixel, and the number of columns of single elements.

    The table's shape is ``[pixels, most columns of a pixel]``. For a pixel with fewer columns, the
    rest is the number of columns, which is the index of the zero after the last column.
    """
    along, image = blocks.along, blocks.image
    rank = len(image)
    shape = [each.shape[0] for each in along] + [each.shape[1] for each in along]
    pixel, inside = np.zeros(shape, np.int64), np.ones(shape, bool)
    for axis, (at, size) in enumerate(zip(along, image, strict=True)):
        spread = np.expand_dims(at, [each for each in range(2 * rank) if each % rank != axis])
        pixel = pixel * size + spread
        inside &= (spread >= 0) & (spread < size)
    columns, pixels = np.flatnonzero(inside), pixel[inside]
    order = np.argsort(pixels, kind="stable")
    columns, pixels = columns[order], pixels[order]
    counts = np.bincount(pixels, minlength=math.prod(image))
    place = np.arange(pixels.size) - (np.cumsum(counts) - counts)[pixels]
    table = np.full((math.prod(image), max(int(counts.max()), 1)), inside.size)
    table[pixels, place] = columns
    return table, inside.size
