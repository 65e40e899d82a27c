"""Replace GridSample by a plugin if TensorRT refuses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, Rewrite
from pluginkit.plugins.grid_sample import GridSample

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

#: The names of the modes since opset 20, which fit any number of axes.
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


class _ReplaceGridSample(Rewrite, abstract=True):
    plugin = GridSample
    pattern = Op("GridSample", "x", "grid")

    def rewrite(self, match: Match) -> NewNode:
        mode = match.attribute("mode", "linear")
        return match.plugin_node(match.plugin(GridSample, mode=_MODES.get(mode, mode)))


class ReplaceVolumetricGridSample(_ReplaceGridSample):
    """GridSample(x of rank 5, grid) -> GridSample_PK(same).

    TensorRT 11.2 and TensorRT-RTX 1.6 support volumes in every mode and padding.
    """

    native_since = {"tensorrt": "11.2", "tensorrt_rtx": "1.6"}

    def check(self, match: Match) -> str | None:
        rank = _rank(match)
        if rank == 5:
            return None
        return f"x has {'an unknown rank' if rank is None else f'rank {rank}'}; a volume has rank 5"


class ReplaceEveryGridSample(_ReplaceGridSample):
    """GridSample(x, grid) -> GridSample_PK(same), where TensorRT has a kernel for it as well.

    TensorRT-RTX 1.7 fails with "ssa_validation" on some models that sample a value and concatenate
    it as well, as recurrent networks for video do, which warp the features of the frame before.
    ``build`` then begins again with this rewrite, unless it is left out by name.
    """

    opt_in = True

    def check(self, match: Match) -> str | None:
        return "the rank of x is unknown" if _rank(match) is None else None


class ReplaceGridSample(_ReplaceGridSample):
    """GridSample(x, grid of another type; or x not of rank 4 or 5) -> GridSample_PK(same).

    No TensorRT supports integers, a grid whose type is not that of ``x``, or a number of spatial
    axes other than two and three.
    """

    def check(self, match: Match, x: gs.Tensor, grid: gs.Tensor) -> str | None:
        rank = _rank(match)
        if rank is None:
            return "the rank of x is unknown; TensorRT takes 4 and 5"
        if rank not in (4, 5):
            return None
        dtype = match.dtype(x)
        if not dtype or not match.dtype(grid):
            return "the type of x or of the grid is unknown; TensorRT takes one for both"
        if dtype != match.dtype(grid) or dtype not in FLOATS:
            return None
        if rank == 5:
            return "a volume, which ReplaceVolumetricGridSample takes where TensorRT does not"
        return f"TensorRT takes it: {dtype}, rank 4"


def _rank(match: Match) -> int | None:
    """Return the rank of x, which grid and output share; None if none of the three is known."""
    ranks = (match.rank(tensor) for tensor in (*match.inputs, *match.outputs))
    return next((rank for rank in ranks if rank is not None), None)
