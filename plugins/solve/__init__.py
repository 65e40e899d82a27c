"""Solve, the solutions of many systems of linear equations, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    Dim,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    Workspace,
)
from pluginkit.plugins._cuda.elimination import (
    TOLERANCE,
    EliminationKernels,
    block_kernel,
    drawn_matrices,
    eliminate,
    launches_of,
    register_kernel,
    row_kernel,
    workspace_bound_of,
    workspace_of,
)
from pluginkit.plugins._cuda.panels import (
    PanelKernels,
    gather_kernel,
    panel_kernel,
    solve_kernel,
)


class Solve(Plugin):
    """Solve systems of linear equations, by elimination with partial pivoting.

    A[..., :, :] @ X[..., :, :] = B[..., :, :]

    Computed in float32. Where A is singular, X has infinities and NaN.

    Inputs:      A: (..., M, M), B: (..., M, K), rank 2 to 8, float32 | float16 | bfloat16, linear;
                 any dimension dynamic, those before the matrices the same for both.
    Outputs:     X: the shape and dtype of B.
    Attributes:  none.
    Workspace:   none for M up to 32, else A and B in float32, twice.
    Tolerance:   float32 1e-4, float16 2e-3, bfloat16 1.6e-2, relative to max(1, X).
    Errors:      PK124 matrices of A are not square, or those of B have another number of rows.
                 batch: the dimensions before the matrices differ.
    Source:      numpy.linalg.solve, torch.linalg.solve, without broadcasting.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = TOLERANCE

    A = Input("T", shape=(..., "M", "M"), ranks=(2, 8))
    B = Input("T", shape=(..., "M", None), ranks=(2, 8))
    X = Output("T", like="B")

    in_registers = register_kernel("SOLVE")
    of_rows = row_kernel("SOLVE")
    gather = gather_kernel("SOLVE")
    eliminate_panels = panel_kernel("SOLVE")
    solve_panels = solve_kernel()
    in_blocks = block_kernel("SOLVE")

    def check(self, A: TensorDesc, B: TensorDesc) -> None:  # noqa: N803  # the letters of the formula
        """Check that A and B have the same dimensions before their matrices."""
        if A.ndim != B.ndim or any(a != b for a, b in zip(A.shape[:-2], B.shape[:-2], strict=True)):
            raise InputError(f"{A}, {B}; expected the same batch.", code="batch")

    def workspace_bytes(self, A: TensorDesc, B: TensorDesc) -> Dim:  # noqa: N803
        """Return room for matrices that do not fit into shared memory."""
        return workspace_of(A, B.shape[-1])

    def workspace_bound(self, A: TensorDesc, B: TensorDesc) -> Dim:  # noqa: N803
        """Return room for every system."""
        return workspace_bound_of(A, B.shape[-1])

    def launches(
        self,
        A: TensorDesc,  # noqa: N803
        B: TensorDesc,  # noqa: N803
        X: TensorDesc,  # noqa: N803
        workspace: Workspace,
    ) -> Sequence[Launch]:
        """Return one launch for small matrices, and one for each panel of a large one."""
        panels = PanelKernels(self.gather, self.eliminate_panels, self.solve_panels)
        kernels = EliminationKernels(self.in_registers, self.of_rows, panels, self.in_blocks)
        return launches_of(kernels, X, A, B, B.shape[-1], workspace)

    def reference(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy."""
        return eliminate(A, B)[1].astype(B.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield systems of different sizes, of several right sides, and empty."""
        rng = np.random.default_rng(5)
        for columns, (name, a) in enumerate(drawn_matrices()):
            b = rng.normal(size=(*a.shape[:-1], columns % 4)).astype(np.float32)
            yield Case(name, [a, b])
