"""The launch of MaxPool: a thread for each window, or a warp for each large one."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, int32, int64, known
from pluginkit.plugins.max_pool.windows import PooledAxis, windows_of

if TYPE_CHECKING:
    from pluginkit.plugins.max_pool import MaxPool

_THREADS = 256
#: The elements of a row of a window that a thread reads before it compares them.
_AT_ONCE = 4
#: What the kernels share with Python.
DEFINES = {"THREADS": _THREADS, "AT_ONCE": _AT_ONCE}
#: The sizes of square windows that have a kernel of their own; 0 for every other.
WINDOWS = (0, 2, 3)
#: With so many elements a window is a warp's.
_LARGE = 128
#: An axis that x lacks.
_ALONE = PooledAxis(1, 1, 1, 1, 1, 0)


def launch_of(plugin: MaxPool, x: TensorDesc, y: TensorDesc, indices: TensorDesc) -> Launch:
    """Return one launch with a thread or a warp for each window."""
    windows = windows_of(plugin, x)
    axes = [*[_ALONE] * (3 - len(windows)), *windows]
    depth, height, width = (known(each.size) for each in axes)
    steps = (height * width, width, 1)
    if plugin.storage_order:  # the axes that x lacks have one element
        steps = (1, depth, depth * height)
    arguments = (
        *(y, indices, x),
        int32([number for each in axes for number in each.numbers()]),
        int64(steps),
        int64(y.size),
    )
    if prod(plugin.kernel_shape) >= _LARGE:
        return Launch(plugin.large_kernel, ceil_div(y.size, _THREADS // 32), _THREADS, arguments)
    is_dense = set(plugin.steps(plugin.dilations)) == {1}
    is_square = plugin.kernel_shape in ((2, 2), (3, 3)) and is_dense
    window = plugin.kernel_shape[0] if is_square else 0
    constants = {"WINDOW": window}
    grid = ceil_div(y.size, _THREADS)
    return Launch(plugin.kernel, grid, _THREADS, arguments, constants=constants)
