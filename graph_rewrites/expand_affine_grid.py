"""AffineGrid, which TensorRT lacks, is a product with a table of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx.helper

from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandAffineGrid(Rewrite):
    """AffineGrid(theta, size) -> Reshape(MatMul(positions, Transpose(theta)), [-1, *size[2:], k]).

    In two or three dimensions, k. The size must be stored in the model.
    """

    pattern = "AffineGrid"

    def check(self, match: Match) -> str | None:
        """The table of positions is made now."""
        theta, size = match.inputs
        if match.constant(size) is None:
            return "its size is not stored in the model"
        if not match.elem_type(theta):
            return "the type of theta is not known"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The positions stand first, for both factors then have the axes that MatMul wants."""
        theta, size = match.inputs
        sizes = [int(each) for each in np.asarray(match.constant(size))[2:]]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(match.elem_type(theta))
        table = _positions(sizes, bool(match.attribute("align_corners", 0))).astype(dtype)
        new = Replacement(match)
        product = new.add("MatMul", table, new.add("Transpose", theta, perm=[0, 2, 1]))
        return new.end("Reshape", product, np.array([-1, *sizes, len(sizes)]))


def _positions(sizes: list[int], align_corners: bool) -> npt.NDArray[np.float64]:
    """Each point of the grid as (x, y, 1) or (x, y, z, 1), from -1 to 1; shape (points, 1 + k)."""
    axes = []
    for size in sizes:
        steps = max(size - 1, 1) if align_corners else size
        first = -1.0 if align_corners else 1.0 / size - 1.0
        axes.append(first + np.arange(size) * 2.0 / steps)
    points = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], -1).reshape(-1, len(sizes))
    return np.concatenate([points, np.ones((len(points), 1))], 1)
