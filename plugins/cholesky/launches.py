"""The launch of Cholesky: some lanes or a block take a matrix, by its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
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
#: How many lanes take a matrix that has no more rows.
LANES = (4, 8, 16, 32)
#: The constants that the kernels share with Python.
DEFINES = {"BLOCK": _BLOCK, "PITCH_GAP": _PITCH_GAP, "TILE": _TILE}


def workspace_bytes(x: TensorDesc) -> Dim:
    """Return room for matrices that do not fit into shared memory."""
    count = known(product(x.shape[:-2]))
    return where(_padded(x) > _KEPT, count * _nbytes(x), 0)


def workspace_bound(x: TensorDesc) -> Dim:
    """Return room for every matrix."""
    return product(x.shape[:-2]) * _nbytes(x)


def launch_of(
    plugin: Cholesky, x: TensorDesc, factor: TensorDesc, info: TensorDesc, workspace: Workspace
) -> Launch:
    """Return one launch."""
    count, size = known(product(x.shape[:-2])), known(x.shape[-1])
    if size <= LANES[-1]:
        lanes = next(each for each in LANES if size <= each)
        grid, constants = ceil_div(count, _BLOCK // lanes), {"LANES": lanes}
        arguments = (factor, info, x, int64(count), int32(size), plugin.upper)
        return Launch(plugin.row_kernel, grid, _BLOCK, arguments, constants=constants)
    padded = _padded(x)
    args = (factor, info, x, workspace, int32(size), int32(padded), plugin.upper)
    if padded <= _KEPT:
        return Launch(plugin.shared_kernel, count, SHARED_TEAM, args, _nbytes(x))
    return Launch(plugin.panel_kernel, count, TEAM, args)


def _padded(x: TensorDesc) -> int:
    """Return the rows of a matrix with those that fill its last tile."""
    return known(ceil_div(x.shape[-1], _TILE)) * _TILE


def _nbytes(x: TensorDesc) -> int:
    """Return the bytes of a matrix of whole tiles."""
    return _padded(x) * (_padded(x) + _PITCH_GAP) * 4
