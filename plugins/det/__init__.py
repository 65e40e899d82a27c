"""Det, the determinants of many matrices, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    Dim,
    Input,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    Workspace,
)
from pluginkit.plugins._cuda.elimination import (
    TOLERANCE,
    drawn_matrices,
    eliminate,
    launches_of,
    register_kernel,
    team_kernel,
    workspace_bound_of,
    workspace_of,
)


class Det(Plugin):
    """Compute the determinant of each matrix, by elimination with partial pivoting.

    Y[...] = det(X[..., :, :])

    Computed in float32. The determinant of a matrix without rows is 1.

    Inputs:      X: (..., M, M), rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension
                 dynamic.
    Outputs:     Y: (...,), dtype of X.
    Attributes:  none.
    Workspace:   none for M up to 64, else X in float32.
    Tolerance:   float32 1e-4, float16 2e-3, bfloat16 1.6e-2, relative to max(1, Y).
    Errors:      PK124 matrices are not square.
    Source:      ONNX Det-22, without double.
    """

    onnx_op = OnnxOp("Det", since=22)
    types = {"T": FLOAT_TYPES}
    tolerance = TOLERANCE

    X = Input("T", shape=(..., "M", "M"), ranks=(2, 8))
    Y = Output("T")

    in_registers = register_kernel("DETERMINANT")
    in_teams = team_kernel("DETERMINANT")

    def output_shapes(self, X: TensorDesc) -> Shape:  # noqa: N803  # ONNX's name
        """Return the shape of X without its matrices."""
        return X.shape[:-2]

    def workspace_bytes(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for matrices that do not fit into shared memory."""
        return workspace_of(X, 0)

    def workspace_bound(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for every matrix."""
        return workspace_bound_of(X, 0)

    def launches(self, X: TensorDesc, Y: TensorDesc, workspace: Workspace) -> Launch:  # noqa: N803
        """Return one launch; a thread, a warp or a block takes a matrix, by its size."""
        return launches_of((self.in_registers, self.in_teams), Y, X, None, 0, workspace)

    def reference(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy."""
        return eliminate(X)[0].astype(X.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield matrices for threads, warps and blocks, singular ones, and empty."""
        for name, x in drawn_matrices():
            yield Case(name, [x])
