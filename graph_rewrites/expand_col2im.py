"""Col2Im, which TensorRT lacks, becomes a sum of gathered columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_LARGEST = 2**24


class ExpandCol2Im(Rewrite):
    """Col2Im(x) -> ReduceSum(Gather(x, for each pixel the columns that cover it)).

    The shapes of the image and of its blocks must be stored in the model. A pixel covered by fewer
    columns than others adds zeros, so that memory is that of the most columns for each pixel.
    """

    pattern = "Col2Im"

    def check(self, match: Match) -> str | None:
        """Both shapes must be known."""
        if match.elem_type(match.inputs[0]) not in FLOATS:
            return NO_FLOAT
        if any(match.constant(each) is None for each in match.inputs[1:3]):
            return "the image's shape or the block's is not stored in the model"
        shape = match.shape(match.inputs[0])
        if shape is not None and len(shape) != 3:
            return "its input has not three axes"
        return _why_no_table(match, None if shape is None else shape[2])

    def rewrite(self, match: Match) -> list[gs.Node]:
        """A zero is put behind the columns, for pixels to read."""
        image, block = _shapes(match)
        table, columns = _columns_of_pixels(_positions(match, image, block), image)
        new = Replacement(match)
        wide = new.cast(match.inputs[0], _T.FLOAT)
        value = new.add("Reshape", wide, np.array([0, -1, columns]))
        value = new.pad(value, [0, 0, 0, 0, 0, 1])
        value = new.reduce("ReduceSum", new.add("Gather", value, table, axis=2), [-1])
        value = new.add("Reshape", value, np.array([0, 0, *image]))
        return new.end("Cast", value, to=match.elem_type(match.inputs[0]))


def _shapes(match: Match) -> tuple[list[int], list[int]]:
    """The image's and the block's."""
    image, block = (np.asarray(match.constant(each)).tolist() for each in match.inputs[1:3])
    return image, block


def _why_no_table(match: Match, columns: int | None) -> str | None:
    """Why no table says which columns cover a pixel, or None; there are ``columns`` of each."""
    image, block = _shapes(match)
    rank = len(image)
    steps = [match.attribute(name, [1] * rank) for name in ("strides", "dilations")]
    pads = match.attribute("pads", [0] * 2 * rank)
    if any(len(each) != rank for each in (block, *steps, pads[::2], pads[1::2])):
        return "its shapes and its attributes are of different ranks"
    if min([*image, *block, *steps[0], *steps[1]]) < 1 or min(pads) < 0:
        return "a size or a step is not positive, or its padding is negative"
    if math.prod(image) * math.prod(block) > _LARGEST:
        return f"its pixels times the elements of a block are more than {_LARGEST}"
    blocks = [each.shape[1] for each in _positions(match, image, block)]
    if columns not in (None, math.prod(blocks)):
        return "its input has another number of columns than the blocks in the image"
    return None


def _positions(match: Match, image: list[int], block: list[int]) -> list[npt.NDArray[np.int64]]:
    """For each axis, where each element of each block stands; ``[element, block]``."""
    rank = len(image)
    strides = match.attribute("strides", [1] * rank)
    dilations = match.attribute("dilations", [1] * rank)
    pads = match.attribute("pads", [0] * 2 * rank)
    along = []
    for axis, (size, length) in enumerate(zip(image, block, strict=True)):
        room = size + pads[axis] + pads[rank + axis] - dilations[axis] * (length - 1) - 1
        starts = np.arange(room // strides[axis] + 1) * strides[axis] - pads[axis]
        along.append(np.arange(length)[:, None] * dilations[axis] + starts)
    return along


def _columns_of_pixels(
    along: list[npt.NDArray[np.int64]], image: list[int]
) -> tuple[npt.NDArray[np.int64], int]:
    """For each pixel the columns to sum up, and how many columns of single elements there are.

    The table's shape is ``[pixels, most columns of a pixel]``; where a pixel has fewer, the number
    of columns stands.
    """
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
