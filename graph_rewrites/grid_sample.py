"""GridSample where TensorRT refuses it becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Rewrite
from pluginkit.plugins.grid_sample import GridSample

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: Opset 20 gave the modes names that suit any number of axes.
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


class _ReplaceGridSample(Rewrite, abstract=True):
    plugin = GridSample
    pattern = "GridSample"

    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's inputs and, with opset 20's modes, its attributes."""
        mode = match.attribute("mode", "linear")
        plugin = GridSample(
            mode=_MODES.get(mode, mode),
            padding_mode=match.attribute("padding_mode", "zeros"),
            align_corners=bool(match.attribute("align_corners", 0)),
        )
        return match.plugin_node(plugin, match.inputs)


class ReplaceVolumetricGridSample(_ReplaceGridSample):
    """GridSample(x of rank 5, grid) -> GridSample_PK(same).

    TensorRT 11.2 and TensorRT-RTX 1.6 take it themselves, in every mode and padding.
    """

    native_since = {"tensorrt": "11.2", "tensorrt_rtx": "1.6"}

    def check(self, match: Match) -> str | None:
        """Only what is volumetric is meant here."""
        rank = _rank(match)
        return None if rank == 5 else f"x has {_ranks(rank)}; a volume has rank 5"


class ReplaceGridSample(_ReplaceGridSample):
    """GridSample(x, grid of another type; or x not of rank 4 or 5) -> GridSample_PK(same).

    No TensorRT takes integers, a grid of another type than ``x``, or another number of spatial axes
    than two and three. Everything else it takes by itself.
    """

    def check(self, match: Match) -> str | None:
        """Leave the node to TensorRT where its layer does the same."""
        rank = _rank(match)
        if rank is None:
            return "the rank of x is unknown; TensorRT itself takes 4 and 5"
        if rank not in (4, 5):
            return None
        x, grid = map(match.dtype, match.inputs)
        if x is None or grid is None:
            return "the type of x or of the grid is unknown; TensorRT itself takes one for both"
        if x is not grid or not x.is_floating:
            return None
        if rank == 5:
            return "a volume, which ReplaceVolumetricGridSample takes where TensorRT does not"
        return f"TensorRT takes it as it is: {x.name}, rank 4"


def _rank(match: Match) -> int | None:
    """The rank that x, grid and output have in common, None when that of none is known."""
    shapes = (tensor.shape for tensor in (*match.inputs, *match.outputs))
    return next((len(shape) for shape in shapes if shape is not None), None)


def _ranks(rank: int | None) -> str:
    return "an unknown rank" if rank is None else f"rank {rank}"
