"""The one launch of a GridSample: of the kernel in CUDA C++, or of one in numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.dims import ceil_div, product
from pluginkit.dtypes import bfloat16, int32, int64, offset_type
from pluginkit.kernels.declare import Launch
from pluginkit.plugins.grid_sample.layout import THREADS, layout_of
from pluginkit.tensors import TensorDesc

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample

#: Values that are weighed along each axis.
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
#: As kernel.py numbers them.
_PADDINGS = ("zeros", "border", "reflection")


def launch_of(plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc) -> Launch:
    """CUDA C++ for two and three spatial axes, numba for any other number."""
    launch = _in_cpp if x.ndim in (4, 5) else in_numba
    return launch(plugin, x, grid, y)


def _in_cpp(plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc) -> Launch:
    """Laid out as layout.py says."""
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
