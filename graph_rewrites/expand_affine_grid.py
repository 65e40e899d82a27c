"""Compute AffineGrid, which TensorRT lacks, as a product with a table of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandAffineGrid(Rewrite):
    """AffineGrid(theta, size) -> Reshape(MatMul(positions, Transpose(theta)), [-1, *size[2:], k]).

    In k = 2 or 3 dimensions. The size must be stored in the model.
    """

    pattern = Op("AffineGrid", "theta", "size")

    def check(self, match: Match, theta: gs.Tensor, size: gs.Tensor) -> str | None:
        if match.constant(size) is None:
            return "its size is not stored in the model"
        return None if match.dtype(theta) else "the type of theta is not known"

    def rewrite(self, match: Match, theta: gs.Tensor, size: gs.Tensor) -> list[gs.Node]:
        """The table is the first factor, so that both have the axes that MatMul wants."""
        sizes = [int(each) for each in np.asarray(match.constant(size))[2:]]
        positions = _positions(sizes, align_corners=match.attribute("align_corners", False))
        new = Replacement(match)
        table = new.cast(positions, match.dtype(theta))
        product = new.add("MatMul", table, new.add("Transpose", theta, perm=[0, 2, 1]))
        return new.end("Reshape", product, np.array([-1, *sizes, len(sizes)]))


def _positions(sizes: list[int], *, align_corners: bool) -> npt.NDArray[np.float64]:
    """Return each point of the grid as (x, y, 1) or (x, y, z, 1), from -1 to 1: [points, 1 + k]."""
    axes = []
    for size in sizes:
        steps = max(size - 1, 1) if align_corners else size
        first = -1.0 if align_corners else 1.0 / size - 1.0
        axes.append(first + np.arange(size) * 2.0 / steps)
    points = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], -1).reshape(-1, len(sizes))
    return np.concatenate([points, np.ones((len(points), 1))], 1)
