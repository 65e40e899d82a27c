"""Det, the determinants of many matrices, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
)


class Det(Plugin):
    """Compute the determinant of each matrix, by elimination with partial pivoting.

    Y[...] = det(X[..., :, :])

    Computed in float32. The determinant of a matrix without rows is 1.

    Inputs:      X: (..., M, M), rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension
                 dynamic.
    Outputs:     Y: (...,), dtype of X.
    Attributes:  none.
    Workspace:   none for M up to 128, else X in float32.
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
    of_rows = row_kernel("DETERMINANT")
    gather = gather_kernel("DETERMINANT")
    eliminate_panels = panel_kernel("DETERMINANT")
    in_blocks = block_kernel("DETERMINANT")

    def output_shapes(self, X: TensorDesc) -> Shape:  # noqa: N803  # ONNX's name
        """Return the shape of X without its matrices."""
        return X.shape[:-2]

    def workspace_bytes(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for matrices that do not fit into shared memory."""
        return workspace_of(X, None)

    def workspace_bound(self, X: TensorDesc) -> Dim:  # noqa: N803
        """Return room for every matrix."""
        return workspace_bound_of(X, None)

    def launches(self, X: TensorDesc, Y: TensorDesc, workspace: Workspace) -> Sequence[Launch]:  # noqa: N803
        """Return one launch for small matrices, and one for each panel of a large one."""
        panels = PanelKernels(self.gather, self.eliminate_panels, None)
        kernels = EliminationKernels(self.in_registers, self.of_rows, panels, self.in_blocks)
        return launches_of(kernels, Y, X, None, 0, workspace)

    def reference(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy."""
        return eliminate(X)[0].astype(X.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield matrices of different sizes, singular ones, and empty."""
        for name, x in drawn_matrices():
            yield Case(name, [x])
