"""The host side of panels.cu: the elimination of large matrices, by panels of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pluginkit import (
    CudaKernel,
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_min,
    int32,
    known,
    product,
    where,
)

Purpose = Literal["DETERMINANT", "INVERSE", "SOLVE"]

#: The threads of a block that factors a panel; each has a row.
_ROWS = (256, 512, 1024)
MOST_ROWS = _ROWS[-1]
#: The columns of a panel, of a strip that a block updates, and of B that a block solves, one for
#: each of its warps.
_WIDTH, _STRIP, _GROUP, _BLOCK = 32, 16, 8, 256
_MOST_BLOCKS = 65535  # along the second dimension of a grid

_DEFINES: Mapping[str, Any] = {
    "Purpose": Purpose,
    "BLOCK": _BLOCK,
    "GROUP": _GROUP,
    "MOST_ROWS": MOST_ROWS,
    "STRIP": _STRIP,
    "WIDTH": _WIDTH,
}


class PanelKernels(NamedTuple):
    """The kernels of panels.cu; without right sides nothing is solved."""

    gather: CudaKernel
    factor: CudaKernel
    update: CudaKernel
    solve: CudaKernel | None


def gather_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel that copies matrices to the workspace."""
    return _kernel(f"gather_cells<{{T}}, Purpose::{purpose}>")


def factor_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel that eliminates in a panel."""
    expression = f"factor_panel<{{T}}, Purpose::{purpose}, {{ROWS}}>"
    return _kernel(expression, {"ROWS": _ROWS})


def update_kernel() -> CudaKernel:
    """Return the kernel that eliminates in the columns after a panel."""
    return _kernel("update_strips")


def solve_kernel() -> CudaKernel:
    """Return the kernel that finds solutions from triangles."""
    return _kernel("substitute<{T}>")


def _kernel(expression: str, constants: Mapping[str, Any] | None = None) -> CudaKernel:
    return CudaKernel("../_cuda/panels.cu", expression, constants or {}, defines=_DEFINES)


def panel_bytes(size: Dim, columns: Dim) -> Dim:
    """Return the workspace of one matrix [A | B]."""
    pitch, height = ceil_div(size + columns, 4) * 4, ceil_div(size, 4) * 4
    return 4 * (2 * size * pitch + (_WIDTH + 1) * height + 4)


def panel_launches(
    kernels: PanelKernels,
    y: TensorDesc,
    a: TensorDesc,
    b: TensorDesc | None,
    columns: int,
    workspace: Workspace | None,
) -> Iterator[Launch]:
    """Yield the launches for matrices of up to MOST_ROWS rows: two for each panel."""
    count, size = known(product(a.shape[:-2])), known(a.shape[-1])
    sizes = int32(size), int32(columns)
    yield Launch(kernels.gather, (count, size), _BLOCK, (a, b, workspace, *sizes))
    rows = next(rows for rows in _ROWS if size <= rows)
    for first in range(0, rows, _WIDTH):
        args = (workspace, *sizes, int32(first))
        matrices = where(first < size, count, 0)
        constants = {"ROWS": rows}
        yield Launch(kernels.factor, matrices, rows, (y, *args), constants=constants)
        after = columns + where(first + _WIDTH < size, size - first - _WIDTH, 0)
        strips = dim_min(ceil_div(after, _STRIP), _MOST_BLOCKS)
        yield Launch(kernels.update, (matrices, strips), _BLOCK, args)
    if kernels.solve is not None:
        groups = dim_min(ceil_div(columns, _GROUP), _MOST_BLOCKS)
        yield Launch(kernels.solve, (count, groups), _BLOCK, (y, workspace, *sizes))
