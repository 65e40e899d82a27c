"""The launches of MaxUnpool, and the sizes along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Fill,
    KernelArgument,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    int32,
    int64,
    known,
)

if TYPE_CHECKING:
    from pluginkit.plugins.max_unpool import MaxUnpool

_THREADS = 256
#: The pixels of a row of y that a thread takes.
_AT_ONCE = 4
#: The widths of windows side by side that are stored at once; 0 for every other.
WIDTHS = (0, 2, 4)
#: So many elements are looked at again without a note that one is outside of its window.
_FEW = 2**18
#: The most blocks that look for elements outside of their windows.
_STRAY_BLOCKS = 1056
#: What the kernel shares with Python.
DEFINES = {"THREADS": _THREADS, "AT_ONCE": _AT_ONCE}

#: An axis that x lacks.
_ALONE = (1, 1, 1, 1, 1, 0)


def unpooled(plugin: MaxUnpool, sizes: Sequence[Dim]) -> list[Dim]:
    """Return the spatial sizes in which the indices count, from those of x."""
    rank = len(plugin.kernel_shape)
    return [
        (size - 1) * plugin.steps()[axis]
        + plugin.kernel_shape[axis]
        - plugin.padding()[axis]
        - plugin.padding()[rank + axis]
        for axis, size in enumerate(sizes)
    ]


def steps_of(
    plugin: MaxUnpool, x: TensorDesc, indices: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Step]:
    """Return a launch that writes y, and one that adds what belongs outside of its window."""
    if x.size == 0:
        return [Fill(y)]
    sizes = unpooled(plugin, x.shape[2:])
    given = [
        (
            *(x.shape[axis + 2], size, y.shape[axis + 2], plugin.kernel_shape[axis]),
            *(plugin.steps()[axis], plugin.padding()[axis]),
        )
        for axis, size in enumerate(sizes)
    ]
    axes = int32([number for axis in ([_ALONE] * (3 - len(given)) + given) for number in axis])
    elements = x.shape[0] * x.shape[1]
    for size in sizes:
        elements = elements * size
    # Of a window that lies in the padding alone nothing would be noted.
    has_hidden = any(
        pad >= kernel for pad, kernel in zip(plugin.padding(), 2 * plugin.kernel_shape, strict=True)
    )
    notes = [] if has_hidden or x.size <= _FEW else [Fill(workspace)]
    arguments = (y, workspace if notes else None, x, indices, axes)
    blocks = min(known(ceil_div(x.size, _THREADS)), _STRAY_BLOCKS)
    counts = (int64(x.size), int64(elements))
    return [
        *notes,
        _writing(plugin, y, x, arguments),
        Launch(plugin.stray_kernel, blocks, _THREADS, (*arguments, *counts)),
    ]


def _writing(
    plugin: MaxUnpool, y: TensorDesc, x: TensorDesc, arguments: tuple[KernelArgument, ...]
) -> Launch:
    """Return the launch that writes y."""
    are_tiles = plugin.output_sizes is None and not any(plugin.padding())
    if are_tiles and plugin.steps() == plugin.kernel_shape:
        width = plugin.kernel_shape[-1]
        return Launch(
            plugin.tile_kernel,
            ceil_div(x.size, _THREADS),
            _THREADS,
            (*arguments, int64(x.size)),
            constants={"WIDTH": width if width in WIDTHS else 0},
        )
    lines = y.shape[0] * y.shape[1]
    for size in y.shape[2:-1]:
        lines = lines * size
    items = known(lines * ceil_div(y.shape[-1], _AT_ONCE))
    return Launch(plugin.kernel, ceil_div(items, _THREADS), _THREADS, (*arguments, int64(items)))
