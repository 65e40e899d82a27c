"""Which shapes go together in a GridSample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import TensorDesc, TensorError
from pluginkit.plugins.grid_sample.reference import FAR

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample


def check_shapes(plugin: GridSample, x: TensorDesc, grid: TensorDesc) -> None:
    """Refuse what cannot be sampled.

    Errors:
        PK148: the shapes do not fit.  PK150: an axis of x is longer than 2^30.  PK151: an empty
        axis of x, where padding reads from it.
    """
    if grid.ndim != x.ndim or grid.shape[-1] != x.ndim - 2 or grid.shape[0] != x.shape[0]:
        raise TensorError(
            "PK148",
            f"GridSample: {x} and {grid}; expected (N, C, *sizes) and (N, *out_sizes, "
            "the number of sizes).",
        )
    if max(x.shape[2:]) > FAR:
        raise TensorError("PK150", f"GridSample: {x}; expected spatial sizes up to 2^30.")
    if min(x.shape[2:]) == 0 and plugin.padding_mode != "zeros":
        raise TensorError(
            "PK151", f"GridSample: {x} has no pixel, which padding {plugin.padding_mode!r} reads."
        )
