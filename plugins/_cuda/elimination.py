"""The host side of elimination.cu, and the same in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, Literal

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
    float16,
    float32,
    int32,
    int64,
    known,
    product,
    where,
)

Purpose = Literal["DETERMINANT", "INVERSE", "SOLVE"]
Array = npt.NDArray[Any]

#: The largest matrices that a thread takes, and those that a warp takes.
IN_REGISTERS, _OF_A_WARP = 4, 32
_BLOCK, _WARP_BLOCK, _TEAM = 256, 64, 512
#: The most bytes that a block keeps in shared memory, so that a multiprocessor has several blocks.
_KEPT = 16 * 1024

#: How far results may be off, relative to max(1, result).
TOLERANCE = {float32: 1e-4, float16: 2e-3, bfloat16: 1.6e-2}
_DEFINES: Mapping[str, Any] = {"Purpose": Purpose, "BLOCK": _BLOCK, "WARP_BLOCK": _WARP_BLOCK}


def register_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel of which a thread takes a matrix, in registers."""
    return CudaKernel(
        "../_cuda/elimination.cu",
        f"eliminate_in_registers<{{T}}, Purpose::{purpose}, {{SIZE}}>",
        {"SIZE": tuple(range(1, IN_REGISTERS + 1))},
        defines=_DEFINES,
    )


def team_kernel(purpose: Purpose) -> CudaKernel:
    """Return the kernel of which a warp or a block takes a matrix."""
    return CudaKernel(
        "../_cuda/elimination.cu",
        f"eliminate_in_teams<{{T}}, Purpose::{purpose}, {{LANES}}, {{SHARED}}>",
        {"LANES": (32, _TEAM), "SHARED": (True, False)},
        defines=_DEFINES,
    )


def workspace_of(a: TensorDesc, columns: Dim) -> Dim:
    """Return the bytes of all matrices with their right sides, where shared memory is too small."""
    nbytes = _nbytes(a, columns)
    teams = _teams(a)
    return where(nbytes * teams > _KEPT, nbytes * known(product(a.shape[:-2])), 0)


def workspace_bound_of(a: TensorDesc, columns: Dim) -> Dim:
    """Return the bytes of all matrices with their right sides."""
    return product(a.shape[:-2]) * a.shape[-1] * (a.shape[-1] + columns) * 4


def launches_of(
    kernels: tuple[CudaKernel, CudaKernel],
    y: TensorDesc,
    a: TensorDesc,
    b: TensorDesc | None,
    columns: Dim,
    workspace: Workspace | None,
) -> Launch:
    """Return the launch of one of two kernels, in registers and in teams."""
    count, size = known(product(a.shape[:-2])), known(a.shape[-1])
    in_registers, in_teams = kernels
    if 0 < size <= IN_REGISTERS:
        grid = ceil_div(count, _BLOCK)
        args = (y, a, b, int64(count), int32(columns))
        return Launch(in_registers, grid, _BLOCK, args, constants={"SIZE": size})
    teams, nbytes = _teams(a), _nbytes(a, columns)
    is_kept = nbytes * teams <= _KEPT
    return Launch(
        in_teams,
        ceil_div(count, teams),
        _WARP_BLOCK if teams > 1 else _TEAM,
        (y, a, b, workspace, int64(count), int32(size), int32(columns)),
        shared_bytes=nbytes * teams if is_kept else 0,
        constants={"LANES": 32 if teams > 1 else _TEAM, "SHARED": is_kept},
    )


def _teams(a: TensorDesc) -> int:
    return where(known(a.shape[-1]) <= _OF_A_WARP, _WARP_BLOCK // 32, 1)


def _nbytes(a: TensorDesc, columns: Dim) -> int:
    return known(a.shape[-1]) * (known(a.shape[-1]) + known(columns)) * 4


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
    """Yield names and matrices for threads, warps and blocks, singular ones, and empty."""
    rng = np.random.default_rng(7)
    for name, shape in (
        ("rotations", (3, 2, 3, 3)),
        ("one_by_one", (5, 1, 1)),
        ("two_by_two", (300, 2, 2)),
        ("four_by_four", (2, 3, 4, 4)),
        ("one_matrix", (5, 5)),
        ("for_warps", (3, 17, 17)),
        ("for_a_block", (2, 34, 34)),
        ("for_the_workspace", (1, 65, 65)),
        ("no_matrices", (0, 3, 3)),
        ("no_rows", (2, 0, 0)),
    ):
        x = rng.normal(size=shape) / (2 * np.sqrt(max(shape[-1], 1))) + np.eye(shape[-1])
        yield name, rng.permutation(x, axis=-2).astype(np.float32)
    yield "singular", np.ones((2, 3, 3), np.float32)
