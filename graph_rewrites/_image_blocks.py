"""Read how the blocks of Col2Im lie in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluginkit.onnx import Match


@dataclass(frozen=True)
class BlockAxis:
    """An axis: the elements of a block, pixels between blocks and elements, and the padding."""

    block: int
    stride: int
    dilation: int
    begin: int
    end: int

    @property
    def least(self) -> int:
        """The fewest pixels of an image that holds a block."""
        return self.dilation * (self.block - 1) + 1 - self.begin - self.end


def block_axes(
    match: Match, block: Sequence[int], image: Sequence[int] | None = None
) -> str | list[BlockAxis]:
    """Return the axes of a Col2Im's blocks, or why they are none.

    Args:
        match: the match of the Col2Im.
        block: the elements of a block along each axis.
        image: the pixels along each axis, if the model stores them.
    """
    rank = len(block if image is None else image)
    strides = match.attribute("strides", [1] * rank)
    dilations = match.attribute("dilations", [1] * rank)
    pads = match.attribute("pads", [0] * 2 * rank)
    if any(len(each) != rank for each in (block, strides, dilations, pads[::2], pads[1::2])):
        return "its shapes and its attributes are of different ranks"
    if min([*(image or ()), *block, *strides, *dilations]) < 1 or min(pads) < 0:
        return "a size or a step is not positive, or its padding is negative"
    parts = zip(block, strides, dilations, pads[:rank], pads[rank:], strict=True)
    return [BlockAxis(*each) for each in parts]
