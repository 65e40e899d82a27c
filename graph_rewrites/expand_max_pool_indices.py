"""MaxPool with indices, which TensorRT lacks, becomes the greatest of gathered windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.graph_rewrites._windows import why_no_windows, why_not_counted, windows_of
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
Indices: TypeAlias = npt.NDArray[np.int64]


class ExpandMaxPoolIndices(Rewrite):
    """MaxPool(x) -> y = ReduceMax(Gather(x, windows)), Indices from ArgMax of the same.

    Where several elements of a window are the greatest, the index is that of the first. The shape
    must be known.
    """

    pattern = "MaxPool"

    def check(self, match: Match) -> str | None:
        """Without its indices the node is not for this rewrite."""
        if not any(map(match.is_used, match.outputs[1:])):
            return "its indices are not used"
        return why_not_counted(match) or why_no_windows(match)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The least number stands behind the elements, for what a window has outside of them."""
        x = match.inputs[0]
        batch, channels, *sizes = (size or 0 for size in match.shape(x) or ())
        windows = windows_of(match)
        table, places = _elements_of_windows(
            [each.elements() for each in windows],
            sizes,
            columns_first=bool(match.attribute("storage_order", 0)),
        )
        counts = [batch, channels, *(each.count for each in windows)]
        area = math.prod(sizes)
        new = Replacement(match)
        flat = new.add("Reshape", new.cast(x, _T.FLOAT), np.array([batch, channels, area]))
        padded = new.pad(flat, [0, 0, 0, 0, 0, 1], np.array(-np.inf, np.float32))
        gathered = new.add("Gather", padded, table, axis=2)
        greatest = new.reduce("ReduceMax", gathered, [-1])
        pooled = new.add("Reshape", greatest, np.array(counts))
        new.into(match.outputs[:1], "Cast", pooled, to=match.elem_type(x))
        place = new.add("ArgMax", gathered, axis=-1, keepdims=0)
        place = new.add("Add", place, np.arange(len(table)) * table.shape[1])
        index = new.add("Gather", places.ravel(), place, axis=0)
        planes = np.arange(batch * channels).reshape(batch, channels, 1) * area
        index = new.add("Add", index, planes)
        return new.into(match.outputs[1:], "Reshape", index, np.array(counts))


def _elements_of_windows(
    along: list[Indices], sizes: list[int], *, columns_first: bool
) -> tuple[Indices, Indices]:
    """For each window its elements in a plane, its size for those outside; and their places.

    Args:
        along: for each axis the elements of every window, ``[windows, kernel]``.
        sizes: of the plane.
        columns_first: whether places count along the first axis before the others.

    Returns:
        Two arrays ``[windows, kernel]`` of all axes together. An element outside has the place of
        its window's first element inside, for windows of nothing but the least number.
    """
    rank = len(sizes)
    windows = math.prod(len(each) for each in along)
    shape = [each.shape[0] for each in along] + [each.shape[1] for each in along]
    inside = np.ones(shape, bool)
    index, place = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for axis, (elements, size) in enumerate(zip(along, sizes, strict=True)):
        others = [each for each in range(2 * rank) if each % rank != axis]
        spread = np.expand_dims(elements, others)
        inside &= (spread >= 0) & (spread < size)
        index += spread * math.prod(sizes[axis + 1 :])
        place += spread * math.prod(sizes[:axis] if columns_first else sizes[axis + 1 :])
    inside, index, place = (each.reshape(windows, -1) for each in (inside, index, place))
    first = np.take_along_axis(place, inside.argmax(1)[:, None], 1)
    return np.where(inside, index, math.prod(sizes)), np.where(inside, place, first)
