"""Cholesky, the triangular factors of many matrices, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Launch,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    Workspace,
    attribute,
    int32,
)
from pluginkit.plugins._cuda.elimination import TOLERANCE, drawn_matrices
from pluginkit.plugins.cholesky.launches import (
    DEFINES,
    LANES,
    PANEL_DEFINES,
    SHARED_TEAM,
    STEPS,
    TEAM,
    launches_of,
    workspace_bound,
    workspace_bytes,
)


class Cholesky(Plugin):
    """Factor each symmetric positive definite matrix into a triangle and its transpose.

    X[..., :, :] = L[..., :, :] @ L[..., :, :]^T, with ``upper`` L[..., :, :]^T @ L[..., :, :]

    Computed in float32. Only the triangle of X is read that L has; the other one of L is zero. If a
    pivot is not above 0 the matrix is not positive definite: info has its number, from 1 on, and
    L is NaN from that column (with ``upper`` row) on.

    Inputs:      X: (..., M, M), rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension
                 dynamic.
    Outputs:     L: the same.
                 info: (...,), int32, 0 where X is positive definite.
    Attributes:  upper: bool, default false.
    Workspace:   none for M up to 96, else X in float32.
    Tolerance:   float32 1e-4, float16 2e-3, bfloat16 1.6e-2, relative to max(1, L).
    Errors:      PK124 matrices are not square.
    Source:      torch.linalg.cholesky_ex, without double and complex; LAPACK's potrf.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = TOLERANCE

    upper: bool = attribute(default=False, doc="whether the upper triangle is read and written")

    X = Input("T", shape=(..., "M", "M"), ranks=(2, 8))
    L = Output("T")
    info = Output(int32)

    row_kernel = CudaKernel(
        "kernel.cu", "cholesky_of_rows<{T}, {LANES}>", {"LANES": LANES}, defines=DEFINES
    )
    shared_kernel = CudaKernel(
        "kernel.cu", f"cholesky_of_tiles<{{T}}, {SHARED_TEAM}, true>", defines=DEFINES
    )
    panel_kernel = CudaKernel(
        "panel.cu",
        "cholesky_of_panel<{T}, {upper}, {STEP}>",
        {"STEP": STEPS},
        defines=PANEL_DEFINES,
        overlaps=True,
    )
    block_kernel = CudaKernel(
        "kernel.cu", f"cholesky_of_tiles<{{T}}, {TEAM}, false>", defines=DEFINES
    )

    def output_shapes(self, X: TensorDesc) -> tuple[Shape, Shape]:  # noqa: N803  # the formula's
        """Return the shape of X, and that without its matrices."""
        return X.shape, X.shape[:-2]

    def workspace_bytes(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for matrices that do not fit into shared memory."""
        return workspace_bytes(X)

    def workspace_bound(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for every matrix."""
        return workspace_bound(X)

    def launches(
        self,
        X: TensorDesc,  # noqa: N803
        L: TensorDesc,  # noqa: N803
        info: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Launch]:
        """Return one launch, or one for each panel; launches.py says which."""
        return launches_of(self, X, L, info, workspace)

    def reference(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """Compute the same in numpy, column by column."""
        cells = np.tril(X.mT if self.upper else X).astype(np.float32)
        info = np.zeros(X.shape[:-2], np.int32)
        with np.errstate(all="ignore"):
            for k in range(X.shape[-1]):
                pivot = cells[..., k, k].copy()
                info[(info == 0) & ~(pivot > 0)] = k + 1
                root = np.where(pivot > 0, np.sqrt(pivot), np.float32(np.nan))[..., None]
                column = cells[..., k + 1 :, k] / root
                cells[..., k, k], cells[..., k + 1 :, k] = root[..., 0], column
                cells[..., k + 1 :, k + 1 :] -= column[..., :, None] * column[..., None, :]
        lower = np.tril(cells).astype(X.dtype)
        return np.ascontiguousarray(lower.mT if self.upper else lower), info

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield matrices of every size class, of both triangles, indefinite ones, and empty."""
        for name, root in drawn_matrices():
            x = root @ root.mT + np.eye(root.shape[-1], dtype=np.float32)
            x[..., :-1, -1:] *= 3  # in the triangle that is not read
            yield Case(name, [x])
        for name, size in (("upper", 9), ("upper_of_a_block", 40), ("upper_in_panels", 131)):
            root = np.random.default_rng(size).normal(size=(2, size, size)) / size**0.5
            x = root @ root.mT + np.eye(size)
            yield Case(name, [x.astype(np.float32)], {"upper": True})
        indefinite = np.stack([np.eye(37, dtype=np.float32)] * 3)
        indefinite[0, 35, 35], indefinite[1, 3, 3] = 0, -1
        yield Case("indefinite", [indefinite])
        yield Case("indefinite_rows", [indefinite[:, 30:36, 30:36].copy()])
