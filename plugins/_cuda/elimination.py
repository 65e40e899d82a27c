"""The host side of elimination.cu, and the same in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pluginkit import (
    CudaKernel,
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    bfloat16,
    ceil_div,
    dim_max,
    float16,
    float32,
    int32,
    int64,
    known,
    product,
    where,
)
from pluginkit.plugins._cuda.panels import (
    MOST_ROWS,
    PanelKernels,
    Purpose,
    panel_bytes,
    panel_launches,
)

Array = npt.NDArray[Any]

#: The largest matrices that a thread takes, and those of which a thread takes a row.
IN_REGISTERS, _OF_ROWS = 4, (8, 16, 32, 64, 128)
#: So many columns of B are in registers beside rows.
_RIGHTS = 4
#: The largest matrices whose triangles are in shared memory.
_IN_SHARED = 32
_BLOCK, _WARP_BLOCK, _TEAM = 256, 64, 512

#: How far results may be off, relative to max(1, result).
TOLERANCE = {float32: 1e-4, float16: 2e-3, bfloat16: 1.6e-2}
_DEFINES: Mapping[str, Any] = {
    "Purpose": Purpose,
    "BLOCK": _BLOCK,
    "TEAM": _TEAM,
    "WARP_BLOCK": _WARP_BLOCK,
}


def register_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel of which a thread takes a matrix, in registers."""
    return CudaKernel(
        "../_cuda/elimination.cu",
        f"eliminate_in_registers<{{T}}, Purpose::{purpose}, {{SIZE}}>",
        {"SIZE": tuple(range(1, IN_REGISTERS + 1))},
        defines=_DEFINES,
    )


def row_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel of which a thread takes a row, in registers."""
    return CudaKernel(
        "../_cuda/elimination.cu",
        f"eliminate_rows<{{T}}, Purpose::{purpose}, {{SIZE}}, {{RIGHTS}}>",
        {"SIZE": _OF_ROWS, "RIGHTS": (0, _RIGHTS) if purpose == "SOLVE" else (0,)},
        defines=_DEFINES,
    )


def block_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel of which a block takes a matrix, in the workspace."""
    return CudaKernel(
        "../_cuda/elimination.cu",
        f"eliminate_in_blocks<{{T}}, Purpose::{purpose}>",
        defines=_DEFINES,
    )


class EliminationKernels(NamedTuple):
    """The kernels of elimination.cu and panels.cu: from the smallest matrices to the largest."""

    in_registers: CudaKernel
    of_rows: CudaKernel
    of_panels: PanelKernels
    in_blocks: CudaKernel


def workspace_of(a: TensorDesc, columns: Dim | None) -> Dim:
    """Return the bytes of what shared memory is too small for; None for no right sides."""
    size, count = known(a.shape[-1]), known(product(a.shape[:-2]))
    rows = where(size <= _OF_ROWS[-2], _OF_ROWS[-2], _OF_ROWS[-1])
    triangles = 0 if columns is None else where(size > _IN_SHARED, 3 * rows * rows * 4, 0)
    whole = known(panel_bytes(size, columns))
    return count * known(dim_max(triangles, where(size > _OF_ROWS[-1], whole, 0)))


def workspace_bound_of(a: TensorDesc, columns: Dim | None) -> Dim:
    """Return at least as many bytes, of symbolic shapes."""
    size = a.shape[-1]  # and at most twice as many threads have rows
    triangles = 0 if columns is None else 3 * (2 * size) * (2 * size) * 4
    return product(a.shape[:-2]) * (triangles + panel_bytes(size, columns))


def launches_of(
    kernels: EliminationKernels,
    y: TensorDesc,
    a: TensorDesc,
    b: TensorDesc | None,
    columns: Dim,
    workspace: Workspace | None,
) -> Sequence[Launch]:
    """Return the launches of one of the kernels, or of those of panels."""
    count, size = known(product(a.shape[:-2])), known(a.shape[-1])
    if 0 < size <= IN_REGISTERS:
        grid = ceil_div(count, _BLOCK)
        args = (y, a, b, int64(count), int32(columns))
        return (Launch(kernels.in_registers, grid, _BLOCK, args, constants={"SIZE": size}),)
    whole = (y, a, b, workspace, int64(count), int32(size), int32(columns))
    for threads in _OF_ROWS:
        if 0 < size <= threads:
            teams = max(_WARP_BLOCK // threads, 1)
            rights = _RIGHTS if b is not None and known(columns) <= _RIGHTS else 0
            constants, grid = {"SIZE": threads, "RIGHTS": rights}, ceil_div(count, teams)
            return (Launch(kernels.of_rows, grid, threads * teams, whole, constants=constants),)
    if 0 < size <= MOST_ROWS:
        return tuple(panel_launches(kernels.of_panels, y, a, b, known(columns), workspace))
    return (Launch(kernels.in_blocks, count, _TEAM, whole),)


def eliminate(a: Array, b: Array | None = None) -> tuple[Array, Array]:
    """Return the determinants of matrices (..., n, n), and the solutions X of A X = B.

    Computes in float32, one rounding for each operation, as the kernels do.
    """
    size = a.shape[-1]
    batch = a.shape[:-2]
    sides: Sequence[Array] = (a,) if b is None else (a, b)
    cells = np.concatenate([side.astype(np.float32) for side in sides], axis=-1)
    cells = cells.reshape(prod(batch), *cells.shape[-2:])
    determinants = np.ones(len(cells), np.float32)
    every = np.arange(len(cells))
    with np.errstate(all="ignore"):
        for k in range(size):
            candidates = cells[:, k:, k]
            worth = np.where(np.isnan(candidates), np.float32(-1), np.abs(candidates))
            pivots = k + worth.argmax(axis=1)
            determinants[pivots != k] *= -1
            upper = cells[every, k, k:].copy()
            cells[every, k, k:] = cells[every, pivots, k:]
            cells[every, pivots, k:] = upper
            pivot = cells[:, k, None, k]
            factors = np.where(pivot == 0, np.float32(0), cells[:, k + 1 :, k] / pivot)
            cells[:, k + 1 :, k] = factors
            cells[:, k + 1 :, k + 1 :] -= factors[..., None] * cells[:, k, None, k + 1 :]
        for k in range(size):
            determinants *= cells[:, k, k]
        for k in reversed(range(size)):
            cells[:, k, size:] /= cells[:, k, k, None]
            cells[:, :k, size:] -= cells[:, :k, k, None] * cells[:, k, None, size:]
    solutions = cells[..., size:]
    return determinants.reshape(batch), solutions.reshape(*batch, *solutions.shape[1:])


def drawn_matrices() -> Iterator[tuple[str, Array]]:
    """Yield names and matrices of different sizes, singular ones, and empty."""
    rng = np.random.default_rng(7)
    for name, shape in (
        ("rotations", (3, 2, 3, 3)),
        ("one_by_one", (5, 1, 1)),
        ("two_by_two", (300, 2, 2)),
        ("four_by_four", (2, 3, 4, 4)),
        ("one_matrix", (5, 5)),
        ("for_a_warp", (3, 17, 17)),
        ("for_two_warps", (2, 34, 34)),
        ("for_four_warps", (1, 65, 65)),
        ("no_matrices", (0, 3, 3)),
        ("no_rows", (2, 0, 0)),
    ):
        x = rng.normal(size=shape) / (2 * np.sqrt(max(shape[-1], 1))) + np.eye(shape[-1])
        yield name, rng.permutation(x, axis=-2).astype(np.float32)
    yield "singular", np.ones((2, 3, 3), np.float32)
