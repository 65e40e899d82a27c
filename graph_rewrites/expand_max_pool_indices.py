"""Turn MaxPool with indices, which TensorRT lacks, into the maximum of gathered windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._pooling_windows import Windows, windows_of
from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

IndexArray: TypeAlias = npt.NDArray[np.int64]


class ExpandMaxPoolIndices(Rewrite):
    """MaxPool(x) -> y = ReduceMax(Gather(x, windows)), Indices from ArgMax of the same.

    If several elements of a window are the greatest, the index is that of the first. The shape must
    be known.
    """

    pattern = Op("MaxPool", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | list[Windows]:
        if not any(map(match.is_used, match.outputs[1:])):
            return "its indices are not used"
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        shape = match.shape(x)
        if shape is None or None in shape:
            return "the shape of its input is not known"
        return windows_of(match, x)

    def rewrite(self, match: Match, x: gs.Tensor, facts: list[Windows]) -> list[gs.Node]:
        """Append -inf to each plane, for the elements of windows outside of the plane."""
        batch, channels, *sizes = (size or 0 for size in match.shape(x) or ())
        table, places = _elements_of_windows(
            [each.elements() for each in facts],
            sizes,
            columns_first=match.attribute("storage_order", False),
        )
        counts = [batch, channels, *(each.count for each in facts)]
        area = math.prod(sizes)
        new = Replacement(match)
        flat = new.add("Reshape", new.cast(x, "float32"), np.array([batch, channels, area]))
        padded = new.pad(flat, [0, 0, 0, 0, 0, 1], np.array(-np.inf, np.float32))
        gathered = new.add("Gather", padded, table, axis=2)
        greatest = new.reduce("ReduceMax", gathered, [-1])
        pooled = new.add("Reshape", greatest, np.array(counts))
        new.into(match.outputs[:1], "Cast", pooled, to=match.dtype(x))
        place = new.add("ArgMax", gathered, axis=-1, keepdims=0)
        place = new.add("Add", place, np.arange(len(table)) * table.shape[1])
        index = new.add("Gather", places.ravel(), place, axis=0)
        planes = np.arange(batch * channels).reshape(batch, channels, 1) * area
        index = new.add("Add", index, planes)
        return new.into(match.outputs[1:], "Reshape", index, np.array(counts))


def _elements_of_windows(
    along: list[IndexArray], sizes: list[int], *, columns_first: bool
) -> tuple[IndexArray, IndexArray]:
    """Return the elements of each window in its flat plane, and the indices that MaxPool reports.

    Args:
        along: for each axis the elements of every window, ``[windows, kernel]``.
        sizes: the sizes of the plane.
        columns_first: whether reported indices count along the first axis before the others.

    Returns:
        Two arrays ``[windows, kernel]`` over all axes. An element outside of the plane is the
        plane's size in the first array. In the second it is the index of its window's first element
        inside, because ArgMax may choose it in a window that is all -inf.
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
