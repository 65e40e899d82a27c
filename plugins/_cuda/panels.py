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
    dim_max,
    dim_min,
    int32,
    known,
    product,
    where,
)

Purpose = Literal["DETERMINANT", "INVERSE", "SOLVE"]

#: The rows of the largest matrices for which so many panels are launched. What a panel keeps in
#: registers is chosen by the rows left of these. Between 1024 and 4096 they are close, since a
#: matrix of far fewer rows has more panels in strips, and updated before; beyond, an export would
#: have too many steps.
_ROWS = (256, 512, 1024, 1536, 2048, 2560, 3072, 4096, 8192, 16384)
MOST_ROWS = _ROWS[-1]
#: The columns of a panel, and the threads of a block that factors one, or that updates a tile of
#: _UPDATED_ROWS x _UPDATED_COLUMNS elements.
_WIDTH, _BLOCK, _UPDATED_ROWS, _UPDATED_COLUMNS = 16, 512, 128, 64
#: Of panels with at most so many rows, the rows and columns that a thread has in registers.
_KEPT = {512: (1, 16), 1024: (2, 16), 2048: (4, 16), 4096: (8, 8), 8192: (16, 4), 16384: (32, 4)}
#: The most rows of a panel whose block also updates it with the panel before.
_FUSED = 1024
#: The columns of B that a block solves, at most and of few, each of them by a warp.
_GROUP, _FEW, _LANES, _SOLVERS = 8, 4, 32, 512
#: The bytes of solutions that a block keeps in shared memory.
_SHARED_BYTES = 2**16
_MOST_BLOCKS = 65535  # along the second dimension of a grid

_DEFINES: Mapping[str, Any] = {
    "Purpose": Purpose,
    "BLOCK": _BLOCK,
    "LANES": _LANES,
    "SOLVERS": _SOLVERS,
    "UPDATED_COLUMNS": _UPDATED_COLUMNS,
    "UPDATED_ROWS": _UPDATED_ROWS,
    "WIDTH": _WIDTH,
}


class PanelKernels(NamedTuple):
    """The kernels of panels.cu; without right sides nothing is solved."""

    gather: CudaKernel
    eliminate: CudaKernel
    solve: CudaKernel | None


def gather_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel that copies matrices to the workspace."""
    return _kernel(f"gather_cells<{{T}}, Purpose::{purpose}>")


def panel_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel that eliminates in a panel, and with the one before it."""
    constants = {"KEPT": sorted({f"{each}, {strip}" for each, strip in _KEPT.values()})}
    expression = f"eliminate_panel<{{T}}, Purpose::{purpose}, {{KEPT}}>"
    return _kernel(expression, constants, overlaps=True)


def solve_kernel() -> CudaKernel:
    """Return the kernel that finds solutions from triangles."""
    constants = {"GROUP": (_FEW, _GROUP), "IN_SHARED": (True, False)}
    return _kernel("substitute<{T}, {GROUP}, {IN_SHARED}>", constants, overlaps=True)


def _kernel(
    expression: str, constants: Mapping[str, Any] | None = None, *, overlaps: bool = False
) -> CudaKernel:
    source = "../_cuda/panels.cu"
    return CudaKernel(source, expression, constants or {}, defines=_DEFINES, overlaps=overlaps)


def panel_bytes(size: Dim, columns: Dim | None) -> Dim:
    """Return the workspace of one matrix [A | B], or of A alone."""
    width, height = size + (columns or 0), ceil_div(size, 4) * 4
    triangle = 0 if columns is None else width * height
    return 4 * (size * (ceil_div(width, 4) * 4) + 2 * height + 4 + triangle)


def panel_launches(
    kernels: PanelKernels,
    y: TensorDesc,
    a: TensorDesc,
    b: TensorDesc | None,
    columns: int,
    workspace: Workspace | None,
) -> Iterator[Launch]:
    """Yield the launches for matrices of up to MOST_ROWS rows: one for each panel."""
    count, size = known(product(a.shape[:-2])), known(a.shape[-1])
    sizes = int32(size), int32(columns)
    yield Launch(kernels.gather, (count, size), _SOLVERS, (a, b, workspace, *sizes))
    rows = next(rows for rows in _ROWS if size <= rows)
    for first in range(0, rows, _WIDTH):
        most, (each, strip) = next(item for item in _KEPT.items() if rows - first <= item[0])
        is_there = first < size
        high = ceil_div(where(is_there, size - first, 0), _UPDATED_ROWS)
        constants = {"KEPT": f"{each}, {strip}"}
        left = first + _WIDTH
        if first > 0 and most > _FUSED:
            left = first + _UPDATED_COLUMNS
            args = (y, workspace, *sizes, int32(first), int32(first), int32(high), int32(0))
            grid = where(is_there, count, 0), high
            yield Launch(kernels.eliminate, grid, _BLOCK, args, constants=constants)
        wide = ceil_div(dim_max(size + columns - left, 0), _UPDATED_COLUMNS)
        tiles = high * wide if first else 0
        args = (y, workspace, *sizes, int32(first), int32(left), int32(tiles), int32(1))
        grid = where(is_there, count, 0), 1 + dim_min(tiles, _MOST_BLOCKS - 1)
        yield Launch(kernels.eliminate, grid, _BLOCK, args, constants=constants)
    if kernels.solve is not None:
        end = ceil_div(size, _WIDTH) * _WIDTH
        tiles = ceil_div(dim_max(size + columns - end, 0), _UPDATED_COLUMNS)
        args = (y, workspace, *sizes, int32(end), int32(end), int32(tiles), int32(0))
        grid = count, dim_min(tiles, _MOST_BLOCKS)
        yield Launch(kernels.eliminate, grid, _BLOCK, args, constants=constants)
        group = _FEW if columns <= _FEW else _GROUP
        groups = dim_min(ceil_div(columns, group), _MOST_BLOCKS)
        rights = 4 * size * group
        in_shared = rights <= _SHARED_BYTES
        yield Launch(
            kernels.solve,
            (count, groups),
            _SOLVERS,
            (y, workspace, *sizes),
            rights if in_shared else 0,
            constants={"GROUP": group, "IN_SHARED": bool(in_shared)},
        )
