"""The launches of KthValue: lanes, a block or several blocks for a row, by its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Copy,
    Dim,
    Fill,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_min,
    int32,
    int64,
    known,
    product,
)
from pluginkit.plugins.kth_value.positions import result_shape

if TYPE_CHECKING:
    from pluginkit.plugins.kth_value import KthValue

_THREADS, _LOADS, _DIGIT_BITS = 512, 8, 11
#: How many keys a block keeps in shared memory.
_CAPACITY = 4096
#: So many lanes take rows of up to so many elements each, in blocks of so many threads.
_SHORT, _SHORT_THREADS = ((4, 4), (8, 8), (32, 8), (32, 16), (32, 32)), 128
#: With so many blocks a large GPU is busy; fewer results share rows, in parts of so many elements.
_BLOCKS, _SEGMENT = 264, 8192
#: The bytes of what is known of a result, and of its histogram.
_STATE_BYTES, _BIN_BYTES = 16, 4 * 2**_DIGIT_BITS

#: The lanes of short rows and their elements, as the kernel's template has them.
SHAPES = tuple(f"{lanes}, {items}" for lanes, items in _SHORT)
#: The constants that the kernels share with Python.
DEFINES = {
    "THREADS": _THREADS,
    "LOADS": _LOADS,
    "DIGIT_BITS": _DIGIT_BITS,
    "CAPACITY": _CAPACITY,
    "SHORT_THREADS": _SHORT_THREADS,
    "STATE_BYTES": _STATE_BYTES,
}


def workspace_bytes(plugin: KthValue, x: TensorDesc, positions: TensorDesc) -> Dim:
    """Return room for the digits and histograms of results whose rows are split."""
    results = product(result_shape(plugin, x, positions))  # in a body there is another output
    nbytes: Dim = dim_min(results, _BLOCKS) * (_STATE_BYTES + _BIN_BYTES)
    return nbytes


def steps_of(
    plugin: KthValue, x: TensorDesc, positions: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Step]:
    """Return a copy of single elements, or a launch; few results of long rows have one a digit."""
    axis = x.axis(plugin.axis)
    size, ranks, inner = known(x.shape[axis]), known(y.shape[axis]), y.shape[axis + 1 :]
    results = known(y.size)
    if not results:
        return ()
    if size == ranks == 1:
        return (Copy(y, x),)
    rows = known(product(y.shape[:axis]) * product(inner))
    flags = (int(positions.ndim == 1), int(plugin.largest))
    layout = (known(product(inner)), size, ranks)
    short = next((each for each in _SHORT if size <= each[0] * each[1]), None)
    inputs, whole = (y, x, positions), int64((*layout, 1, *flags))
    if short is not None:
        lanes, items = short
        grid, constants = ceil_div(rows, _SHORT_THREADS // lanes), {"SHAPE": f"{lanes}, {items}"}
        args = (*inputs, whole, int64(rows))
        return [Launch(plugin.short_kernel, grid, _SHORT_THREADS, args, constants=constants)]
    segments = min(_BLOCKS // results, -(-size // _SEGMENT)) if results < _BLOCKS else 1
    if segments < 2:
        return [Launch(plugin.row_kernel, results, _THREADS, (*inputs, whole))]
    return list(_by_segments(plugin, *inputs, workspace, (*layout, segments, *flags)))


def _by_segments(
    plugin: KthValue,
    y: TensorDesc,
    x: TensorDesc,
    positions: TensorDesc,
    workspace: Workspace,
    layout: tuple[int, ...],
) -> Iterator[Step]:
    """Yield what clears the workspace, and a launch for each digit."""
    results, segments = known(y.size), layout[3]
    sizes = [results * _BIN_BYTES, results * _STATE_BYTES]
    yield Fill(workspace.first(sum(sizes)))
    histograms, states = workspace.split(sizes)
    for digit in range(-(-8 * x.dtype.itemsize // _DIGIT_BITS)):
        args = (y, histograms, states, x, positions, int64(layout), int32(digit))
        yield Launch(plugin.segment_kernel, results * segments, _THREADS, args)
