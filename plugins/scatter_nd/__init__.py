"""ScatterND with every reduction, complete to ONNX opset 18, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    OnnxOp,
    Output,
    Plugin,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
    int64,
)
from pluginkit.plugins._cuda.copy import DEFINES as COPY_DEFINES
from pluginkit.plugins._cuda.reductions import Reduction
from pluginkit.plugins._cuda.row_lists import ROW_UNITS, RowLists
from pluginkit.plugins.scatter_nd.cases import sample_calls
from pluginkit.plugins.scatter_nd.launches import (
    DEFINES,
    ScatterNDCall,
    list_bound,
    rows_of,
    shapes_fit,
)
from pluginkit.plugins.scatter_nd.reference import scatter_nd


class ScatterND(Plugin):
    """Write or reduce each row of ``updates`` into a copy of ``data`` where ``indices`` say.

    output = data;  o = output[*indices[i, j]];  o = f(o, updates[i, j])   for indices of rank 3

    f(o, u) is u, o + u, o * u, min(o, u) or max(o, u). The last dimension of indices is the depth:
    how many dimensions of data a tuple of indices names. o is an element where the tuple names all
    of them, a slice where it names fewer, and all of data where it names none. A negative index
    counts from the end of its dimension. For an index out of range the reference raises an error;
    the kernels skip the update and never write out of bounds.

    Where a tuple occurs twice, "none" keeps the last update in the reference and one of them on a
    GPU. Integers wrap. NaN wins in "min" and "max", as in numpy. Floating-point sums and products
    run in any order. 16-bit types round at every update that is reduced with atomics, as in slices
    of less than 16 bytes, and where updates are few or go to few slices; else, as in the reference,
    they accumulate in float32 and round once, or in slices with more than 10 updates also once for
    about 8 of the others. The tolerance is for 16 updates of one element below 4 in magnitude.

    Inputs:      data: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
                 indices: int64, rank 1 to 8; its last dimension is at most the rank of data.
                 updates: indices.shape[:-1] + data.shape[depth:], the dtype of data.
    Outputs:     output: the shape and dtype of data.
    Attributes:  reduction: none | add | mul | min | max, default none.
    Workspace:   5 bytes for each slice of data and 8 for each slice of updates where a slice has
                 16 bytes or more.
    Tolerance:   float32 1e-5, float16 4e-2, bfloat16 3e-1; integers exact.
    Errors:      shapes: the shapes do not fit each other. index: an index is out of range
                 (reference).
    Source:      ONNX ScatterND-18, whose indices are int64 only; without bool, uint8 and other
                 types that a TensorRT plugin cannot have as an output.
    """

    onnx_op = OnnxOp("ScatterND", since=18)
    types = {"T": OUTPUT_TYPES}
    tolerance = {float32: 1e-5, float16: 4e-2, bfloat16: 3e-1}

    reduction: Reduction = attribute(
        default="none", doc="how an update is combined with the value in data"
    )

    data = Input("T", ranks=(1, 8))
    indices = Input(int64, ranks=(1, 8))
    updates = Input("T", ranks=(0, 8))
    output = Output("T", like="data")

    in_place = CudaKernel(
        "kernel.cu",
        "scatter_in_place<{T}, Reduction::{reduction}, {OFFSET}, {VECTOR}>",
        constants={"OFFSET": OFFSETS, "VECTOR": ROW_UNITS},
        defines=DEFINES,
        overlaps=True,
    )
    combine_few = CudaKernel(
        "kernel.cu",
        "combine_few<{T}, Reduction::{reduction}, {VECTOR}>",
        constants={"VECTOR": ROW_UNITS},
        defines=DEFINES,
    )
    copy_data = CudaKernel("../_cuda/copy.cu", "copy_bytes", defines=COPY_DEFINES)
    link_tuples = CudaKernel(
        "kernel.cu",
        "link_tuples<{KEEP_LAST}>",
        constants={"KEEP_LAST": (False, True)},
        defines=DEFINES,
    )
    gather_rows = CudaKernel(
        "kernel.cu",
        "gather_rows<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": ROW_UNITS},
        defines=DEFINES,
    )
    finish_long_lists = CudaKernel(
        "kernel.cu",
        "finish_long_lists<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": ROW_UNITS},
        defines=DEFINES,
    )

    def check(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> None:
        """Check that the depth that follows from the ranks fits the shapes."""
        if not shapes_fit(data, indices, updates):
            raise InputError(
                f"{data}, {indices}, {updates}; expected updates of shape "
                "indices.shape[:-1] + data.shape[indices.shape[-1]:].",
                code="shapes",
            )

    def workspace_bytes(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> int:
        """Return room for lists of updates, where this shape or a smaller one may use them."""
        rows = rows_of(data, indices, updates)
        return RowLists.nbytes(rows.count, rows.updates) if rows.may_suit_lists else 0

    def workspace_bound(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> Dim:
        """Return room for lists of updates."""
        return list_bound(data, indices, updates)

    def launches(
        self,
        data: TensorDesc,
        indices: TensorDesc,
        updates: TensorDesc,
        output: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """Return one launch for few tuples, a copy and atomics, or those of lists of updates."""
        rows = rows_of(data, indices, updates)
        return ScatterNDCall(self, data, indices, updates, output, workspace, rows).steps()

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return scatter_nd(data, indices, updates, self.reduction)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Return sample calls; see cases.py."""
        return sample_calls()
