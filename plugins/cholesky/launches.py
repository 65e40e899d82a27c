"""The launches of Cholesky: some lanes, a block, or many blocks take a matrix, by its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    int32,
    int64,
    known,
    product,
    where,
)

if TYPE_CHECKING:
    from pluginkit.plugins.cholesky import Cholesky

_BLOCK = 128
#: The rows and columns of a tile.
_TILE = 8
#: What is added to the distance of columns, so that rows are spread over the banks.
_PITCH_GAP = 4
#: The largest matrix that a block keeps in shared memory, padded to whole tiles.
_KEPT = 96

#: The threads of a block whose matrix is in shared memory, and of one that uses the workspace.
SHARED_TEAM, TEAM = 128, 512
#: Many blocks take a larger matrix, with a launch for each panel of columns; one block takes a
#: matrix of more rows than the last of these, the most for which so many panels are launched.
_ROWS = (256, 1024, 4096)
_PANEL, _PANEL_THREADS = 32, 256
#: The first launch, the second one, and those later, which read from elsewhere.
STEPS = (0, 1, 2)
#: The rows and columns that a block updates after a panel.
_EDGE = 64
#: How many lanes take a matrix that has no more rows.
LANES = (4, 8, 16, 32)
#: The constants that the kernels share with Python.
DEFINES = {"BLOCK": _BLOCK, "PITCH_GAP": _PITCH_GAP, "TILE": _TILE}
PANEL_DEFINES = {"EDGE": _EDGE, "PANEL": _PANEL, "PANEL_THREADS": _PANEL_THREADS}


def workspace_bytes(x: TensorDesc) -> Dim:
    """Return room for matrices that do not fit into shared memory."""
    count = known(product(x.shape[:-2]))
    return where(_padded(x) > _KEPT, count * _nbytes(x), 0)


def workspace_bound(x: TensorDesc) -> Dim:
    """Return room for every matrix."""
    return product(x.shape[:-2]) * _nbytes(x)


def launches_of(
    plugin: Cholesky, x: TensorDesc, factor: TensorDesc, info: TensorDesc, workspace: Workspace
) -> Sequence[Launch]:
    """Return the launches."""
    count, size = known(product(x.shape[:-2])), known(x.shape[-1])
    if size <= LANES[-1]:
        lanes = next(each for each in LANES if size <= each)
        grid, constants = ceil_div(count, _BLOCK // lanes), {"LANES": lanes}
        arguments = (factor, info, x, int64(count), int32(size), plugin.upper)
        return (Launch(plugin.row_kernel, grid, _BLOCK, arguments, constants=constants),)
    padded = _padded(x)
    args = (factor, info, x, workspace, int32(size), int32(padded), plugin.upper)
    if padded <= _KEPT:
        return (Launch(plugin.shared_kernel, count, SHARED_TEAM, args, _nbytes(x)),)
    if size > _ROWS[-1]:
        return (Launch(plugin.block_kernel, count, TEAM, args),)
    return tuple(_panel_launches(plugin, x, factor, info, workspace))


def _panel_launches(
    plugin: Cholesky, x: TensorDesc, factor: TensorDesc, info: TensorDesc, workspace: Workspace
) -> Iterator[Launch]:
    """Yield a launch for each panel."""
    count, size = known(product(x.shape[:-2])), known(x.shape[-1])
    rows = next(rows for rows in _ROWS if size <= rows)
    for step, first in enumerate(range(0, rows, _PANEL)):
        matrices = where(first < size, count, 0)
        below = known(dim_max(size - first - _PANEL, 0))
        panels = dim_max(ceil_div(below, _PANEL), 1)
        edges = ceil_div(below, _EDGE) if step > 0 else 0
        grid = matrices, panels + edges * (edges + 1) // 2
        args = (factor, info, x, workspace, int32(size), int32(first))
        constants = {"STEP": min(step, STEPS[-1])}
        yield Launch(plugin.panel_kernel, grid, _PANEL_THREADS, args, constants=constants)


def _padded(x: TensorDesc) -> int:
    """Return the rows of a matrix with those that fill its last tile."""
    return known(ceil_div(x.shape[-1], _TILE)) * _TILE


def _nbytes(x: TensorDesc) -> int:
    """Return the bytes of a matrix of whole tiles."""
    return _padded(x) * (_padded(x) + _PITCH_GAP) * 4
