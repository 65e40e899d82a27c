"""Compute AffineGrid, which TensorRT lacks, as a product with a table of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandAffineGrid(Rewrite):
    """AffineGrid(theta, size) -> Reshape(MatMul(positions, Transpose(theta)), [-1, *size[2:], k]).

    For k = 2 or 3 dimensions. If the size is known only when the model runs, the positions are
    computed then: (x * theta[:, 0] + y * theta[:, 1] + theta[:, 2]), along two or three axes. The
    only position of an axis of size 1 is 0, as in PyTorch.
    """

    pattern = Op("AffineGrid", "theta", "size")

    def check(self, match: Match, theta: gs.Tensor, size: gs.Tensor) -> str | None:
        if match.dtype_problem(FLOATS, theta) is not None:
            return match.dtype_problem(FLOATS, theta)
        if match.value_from_shapes(size) is None and match.shape(size) not in ((4,), (5,)):
            return "the number of its dimensions is not known"
        return None

    def rewrite(self, match: Match, theta: gs.Tensor, size: gs.Tensor) -> list[gs.Node]:
        """Make the table the first factor, so that both have the axes that MatMul needs."""
        known = match.value_from_shapes(size)
        if known is None:
            return _computed(match, theta, size)
        sizes = [int(each) for each in known[2:]]
        positions = _positions(sizes, align_corners=match.attribute("align_corners", False))
        new = Replacement(match)
        table = new.cast(positions, match.dtype(theta))
        product = new.add("MatMul", table, new.add("Transpose", theta, perm=[0, 2, 1]))
        return new.end("Reshape", product, np.array([-1, *sizes, len(sizes)]))


def _computed(match: Match, theta: gs.Tensor, size: gs.Tensor) -> list[gs.Node]:
    """Return the nodes for a size that is known when the model runs."""
    new = Replacement(match)
    count = (match.shape(size) or (4,))[0] or 4
    axes = count - 2
    columns = new.add("Transpose", new.cast(theta, "float32"), perm=[2, 0, 1])
    total = _column(new, columns, axes, axes)
    for axis in range(axes):  # the last axis is x, the first column
        along = new.along_axis(_axis_positions(new, match, size, axis + 2), axes + 2, axis + 1)
        column = _column(new, columns, axes - 1 - axis, axes)
        total = new.add("Add", total, new.add("Mul", along, column))
    return new.end("Cast", total, to=match.dtype(theta))


def _column(new: Replacement, columns: gs.Variable, at: int, axes: int) -> gs.Variable:
    """Return a column of theta with axes of size 1 for the positions: [N, 1, ..., k]."""
    return new.unsqueeze(new.add("Gather", columns, np.int64(at)), list(range(1, axes + 1)))


def _axis_positions(new: Replacement, match: Match, size: gs.Tensor, at: int) -> gs.Variable:
    """Return the positions along one axis, from -1 to 1."""
    length = new.add("Reshape", new.slice(size, 0, at, at + 1), np.zeros(0, np.int64))
    wide = new.add("Cast", length, to="float32")
    one, two = np.float32(1), np.float32(2)
    number = new.add("Range", np.float32(0), wide, one)
    if match.attribute("align_corners", False):
        steps = new.add("Max", new.add("Sub", wide, one), one)
        start = new.add("Min", new.add("Sub", wide, one), one)  # 0 for one position
        return new.add("Sub", new.add("Div", new.add("Mul", number, two), steps), start)
    odd = new.add("Add", new.add("Mul", number, two), one)
    return new.add("Sub", new.add("Div", odd, wide), one)


def _positions(sizes: list[int], *, align_corners: bool) -> npt.NDArray[np.float64]:
    """Return each point of the grid as (x, y, 1) or (x, y, z, 1), from -1 to 1: [points, 1 + k]."""
    axes = []
    for size in sizes:
        steps = max(size - 1, 1) if align_corners else size
        first = -1.0 if align_corners and size > 1 else 1.0 / size - 1.0
        axes.append(first + np.arange(size) * 2.0 / steps)
    points = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], -1).reshape(-1, len(sizes))
    return np.concatenate([points, np.ones((len(points), 1))], 1)
