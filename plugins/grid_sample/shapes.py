"""Check the shapes of a GridSample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import InputError, TensorDesc
from pluginkit.plugins.grid_sample.reference import FAR

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample


def check_shapes(plugin: GridSample, x: TensorDesc, grid: TensorDesc) -> None:
    """Check that grid fits x, and that there are pixels where the padding reads one.

    Errors:
        shapes: the shapes do not fit each other.  size: an axis of x is longer than 2^30.
        empty: an axis of x is empty, and the padding reads from it.
    """
    if grid.ndim != x.ndim or grid.shape[-1] != x.ndim - 2:
        raise InputError(
            f"{x} and {grid}; expected (N, C, *sizes) and (N, *out_sizes, the number of sizes).",
            code="shapes",
        )
    if max(x.shape[2:]) > FAR:
        raise InputError(f"{x}; expected spatial sizes up to 2^30.", code="size")
    if min(x.shape[2:]) == 0 and plugin.padding_mode != "zeros":
        raise InputError(
            f"{x} has no pixel; padding {plugin.padding_mode!r} reads one.",
            code="empty",
            fix='use padding_mode "zeros", or give x a pixel.',
        )
