"""What a GridSample launches: kernels in CUDA C++, or one in numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Launch,
    TensorDesc,
    Workspace,
    bfloat16,
    ceil_div,
    int32,
    int64,
    offset_type,
    product,
)
from pluginkit.plugins.grid_sample.layout import THREADS, layout_of
from pluginkit.plugins.grid_sample.pixel_copy import copy_for, in_pixels

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample

#: Values that are weighed along each axis.
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
#: As kernel.py numbers them.
_PADDINGS = ("zeros", "border", "reflection")


def launches_of(
    plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Launch]:
    """CUDA C++ for two and three spatial axes, numba for any other number."""
    if x.ndim not in (4, 5):
        return (in_numba(plugin, x, grid, y),)
    copy = copy_for(x, grid)
    if not copy.may_be_made:
        return (_in_planes(plugin, x, grid, y, None),)
    collect, sample = in_pixels(plugin, (x, grid, y), copy, workspace)
    return collect, _in_planes(plugin, x, grid, y, workspace), sample


def _in_planes(
    plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc, flag: Workspace | None
) -> Launch:
    """Laid out as layout.py says; ``flag`` says on the device that nothing is left to do."""
    items, channels, *sizes = map(int, x.shape)
    out_sizes = [int(size) for size in y.shape[2:]]
    is_light = len(sizes) == 2 and plugin.mode != "cubic"
    layout = layout_of(items, channels, out_sizes, x.dtype.itemsize, is_light)
    offset = offset_type(product(sizes), product(out_sizes))
    return Launch(
        plugin.kernel,
        grid=layout.grid,
        block=layout.block,
        args=(
            *(y, x, grid),
            int32([1] * (3 - len(sizes)) + sizes),
            *map(offset, (layout.width, layout.rows)),
            *map(int32, (items, channels, layout.run)),
            flag,
        ),
        constants={"AXES": len(sizes), "PACK": layout.pack, "OFFSET": offset.cpp},
    )


def in_numba(plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc) -> Launch:
    """Any number of spatial axes, a thread for each element."""
    items, channels, *sizes = x.shape
    locations, axes = product(y.shape[2:]), len(sizes)
    name = "nearest" if plugin.mode == "nearest" else "interpolate"
    name += "_bfloat16" * (name == "interpolate" and x.dtype is bfloat16)
    name += "_at_bfloat16" * (grid.dtype is bfloat16)
    return Launch(
        getattr(plugin, name),
        grid=ceil_div(y.size, THREADS),
        block=THREADS,
        args=(
            y.reshape(items * channels, locations),
            x.reshape(items * channels, product(sizes)),
            grid.reshape(items, locations, axes),
            int64((channels, *sizes)),
            _TAPS[plugin.mode],
            _PADDINGS.index(plugin.padding_mode),
            plugin.align_corners,
        ),
    )
