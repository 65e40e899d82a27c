"""Inverse, the inverses of many matrices, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    Dim,
    Input,
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


class Inverse(Plugin):
    """Compute the inverse of each matrix, by elimination with partial pivoting.

    X[..., :, :] @ Y[..., :, :] = identity

    Computed in float32. A singular matrix has infinities and NaN in its inverse.

    Inputs:      X: (..., M, M), rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension
                 dynamic.
    Outputs:     Y: the same.
    Attributes:  none.
    Workspace:   none for M up to 32, else X and Y in float32, twice.
    Tolerance:   float32 1e-4, float16 2e-3, bfloat16 1.6e-2, relative to max(1, Y).
    Errors:      PK124 matrices are not square.
    Source:      com.microsoft Inverse-1, without double; torch.linalg.inv.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = TOLERANCE

    X = Input("T", shape=(..., "M", "M"), ranks=(2, 8))
    Y = Output("T", like="X")

    in_registers = register_kernel("INVERSE")
    of_rows = row_kernel("INVERSE")
    gather = gather_kernel("INVERSE")
    eliminate_panels = panel_kernel("INVERSE")
    solve_panels = solve_kernel()
    in_blocks = block_kernel("INVERSE")

    def workspace_bytes(self, X: TensorDesc) -> Dim:  # noqa: N803  # ONNX Runtime's name
        """Return room for matrices that do not fit into shared memory."""
        return workspace_of(X, X.shape[-1])

    def workspace_bound(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for every matrix and its inverse."""
        return workspace_bound_of(X, X.shape[-1])

    def launches(self, X: TensorDesc, Y: TensorDesc, workspace: Workspace) -> Sequence[Launch]:  # noqa: N803
        """Return one launch for small matrices, and one for each panel of a large one."""
        panels = PanelKernels(self.gather, self.eliminate_panels, self.solve_panels)
        kernels = EliminationKernels(self.in_registers, self.of_rows, panels, self.in_blocks)
        return launches_of(kernels, Y, X, None, X.shape[-1], workspace)

    def reference(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy."""
        identity = np.broadcast_to(np.eye(X.shape[-1], dtype=np.float32), X.shape)
        return eliminate(X, identity)[1].astype(X.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield matrices of different sizes, singular ones, and empty."""
        for name, x in drawn_matrices():
            yield Case(name, [x])
