"""ScatterND, complete to ONNX opset 18, with its kernels in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Literal

import numpy as np

from pluginkit import (
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Input,
    OnnxOp,
    Output,
    Plugin,
    Step,
    TensorDesc,
    TensorError,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
    int64,
)
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES, RowLists
from pluginkit.plugins.scatter_nd.launches import WORD_BYTES, Call, depth_of, rows_of

_REDUCE = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


class ScatterND(Plugin):
    """Write or reduce each slice of ``updates`` into a copy of ``data`` where ``indices`` say.

    output = data;  o = output[*indices[i, j]];  o = f(o, updates[i, j])   for indices of rank 3

    f(o, u) is u, o + u, o * u, min(o, u) or max(o, u). The last dimension of indices, the depth, is
    how many dimensions of data a tuple of indices names: o is an element where that is all of
    them, a slice where it is fewer, and all of data where it is none. A negative index counts from
    the end of its dimension. An index out of range is an error in the reference; the kernels skip
    that update, and never write out of bounds.

    Where a tuple occurs twice, "none" keeps the last update in the reference and one of them on a
    GPU. Integers wrap. NaN wins in "min" and "max", as in numpy. Floating-point sums and products
    run in any order. Few updates, and slices of less than 16 bytes, are reduced with atomics, where
    16-bit types round at every update; elsewhere, as in the reference, they accumulate in float32
    and round once. The tolerance is for 16 updates of one element below 4 in magnitude.

    Inputs:      data: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
                 indices: int64, rank 1 to 8; its last dimension is at most the rank of data.
                 updates: indices.shape[:-1] + data.shape[depth:], the dtype of data.
    Outputs:     output: the shape and dtype of data.
    Attributes:  reduction: none | add | mul | min | max, default none.
    Workspace:   4 bytes for each slice of data and of updates where a slice has 16 bytes or more.
    Tolerance:   float32 1e-5, float16 4e-2, bfloat16 3e-1; integers exact.
    Errors:      PK145 the shapes do not fit; PK146 (reference) an index is out of range.
    Source:      ONNX ScatterND-18, whose indices are int64 only; without bool, uint8 and other
                 types that a TensorRT plugin cannot have as an output.
    """

    onnx_op = OnnxOp("ScatterND", since=18)
    types = {"T": OUTPUT_TYPES}
    tolerance = {float32: 1e-5, float16: 4e-2, bfloat16: 3e-1}

    reduction: Literal["none", "add", "mul", "min", "max"] = attribute(
        default="none", doc="how an update meets the value that is there"
    )

    data = Input("T", ranks=(1, 8))
    indices = Input(int64, ranks=(1, 8))
    updates = Input("T", ranks=(0, 8))
    output = Output("T", like="data")

    in_place = CudaKernel(
        "kernel.cu",
        "scatter_in_place<{T}, Reduction::{reduction}, {OFFSET}, {WORD}>",
        constants={"OFFSET": OFFSETS, "WORD": (False, True)},
    )
    link_tuples = CudaKernel("kernel.cu", "link_tuples<{KEEP_LAST}>", {"KEEP_LAST": (False, True)})
    gather_rows = CudaKernel(
        "kernel.cu",
        "gather_rows<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": (1, WORD_BYTES, VECTOR_BYTES)},
    )

    def check(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> None:
        """The ranks imply the depth; indices and updates have the shapes that follow from it."""
        depth = depth_of(data, indices, updates)
        if (
            not 0 <= depth <= data.ndim
            or indices.shape[-1] != depth
            or updates.shape != (*indices.shape[:-1], *data.shape[depth:])
        ):
            raise TensorError(
                "PK145",
                f"ScatterND: {data}, {indices}, {updates}; expected updates of shape "
                "indices.shape[:-1] + data.shape[indices.shape[-1]:].",
            )

    def workspace_bytes(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> int:
        """Lists of updates, where they may be worth it for a smaller shape too."""
        rows = rows_of(data, indices, updates)
        return RowLists.nbytes(rows.count, rows.updates) if rows.may_suit_lists else 0

    def launches(
        self,
        data: TensorDesc,
        indices: TensorDesc,
        updates: TensorDesc,
        output: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """A copy and atomics, or lists of updates and one pass over the rows; see steps.py."""
        rows = rows_of(data, indices, updates)
        return Call(self, data, indices, updates, output, workspace, rows).steps()

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        """``ufunc.at`` on rows; 16-bit floats accumulate in float32, rounded once."""
        sizes = data.shape[: indices.shape[-1]]
        _check_indices(indices, sizes)
        strides = [prod(sizes[dim + 1 :]) for dim in range(len(sizes))]
        tuples = np.where(indices < 0, indices + np.array(sizes, np.int64), indices)
        rows = (tuples @ np.array(strides, np.int64)).ravel()
        inner = prod(data.shape[len(sizes) :])
        wide = np.float32 if data.dtype.itemsize == 2 else data.dtype
        output = data.astype(wide).reshape(prod(sizes), inner)
        values = updates.astype(wide).reshape(len(rows), inner)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.reduction == "none":
                output[rows] = values
            else:
                _REDUCE[self.reduction].at(output, rows, values)
            return output.astype(data.dtype).reshape(data.shape)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Every reduction and depth; negative indices, duplicates, empty; lists and none."""
        rng = np.random.default_rng(16)
        for name, data, count, depth, reduction in (
            ("vector", (11,), (5,), 1, "add"),
            ("duplicates", (3,), (7, 2), 1, "add"),
            ("one_update", (4, 3), (), 2, "max"),
            ("all_of_data", (3, 5), (4,), 0, "add"),
            ("slices", (6, 5, 4), (9,), 1, "mul"),
            ("rows", (6, 5, 4), (3, 5), 2, "min"),
            ("elements", (6, 5, 4), (40,), 3, "max"),
            ("odd_elements", (7, 3, 3), (50,), 3, "add"),
            ("write_slices", (9, 31), (4,), 1, "none"),
            ("write_elements", (9, 31), (60, 2), 2, "none"),
            ("size_one", (1, 1), (6,), 1, "mul"),
            ("empty_updates", (4, 6), (0,), 1, "add"),
            ("empty_slices", (4, 0), (3,), 1, "max"),
            ("empty_data", (0, 6), (0,), 2, "min"),
            ("rank_eight", (2, 3, 2, 1, 2, 3, 2, 2), (70,), 8, "add"),
            ("voxels", (4, 5, 6, 16), (120,), 3, "min"),
            ("graph", (300, 64), (2100,), 1, "add"),
            ("graph_of_odd_rows", (1500, 33), (4100,), 1, "max"),
            ("write_rows", (40, 60, 64), (2100,), 2, "none"),
        ):
            sizes = np.array(data[:depth], np.int64)
            total, wanted = prod(data[:depth]), prod(count)
            # Duplicates would leave the result of "none" open.
            rows = rng.permutation(total)[:wanted]
            if reduction != "none":
                rows = (rng.random(wanted) * total).astype(np.int64)
            tuples = np.stack(np.unravel_index(rows, sizes), -1) if depth else rows[:, None][:, :0]
            indices = np.where(rng.random(tuples.shape) < 0.3, tuples - sizes, tuples)
            shapes = data, (*count, *data[depth:])
            values = [rng.uniform(-4, 4, shape).astype(np.float32) for shape in shapes]
            arrays = [values[0], indices.reshape(*count, depth), values[1]]
            yield Case(name, arrays, {"reduction": reduction})


def _check_indices(indices: np.ndarray, sizes: Sequence[int]) -> None:
    limits = np.array(sizes, np.int64)
    outside = np.argwhere((indices < -limits) | (indices >= limits))
    if len(outside):
        position = outside[0].tolist()
        dim = position[-1]
        size = sizes[dim]
        allowed = f"{-size} to {size - 1}" if size else "no index, as the dimension is empty"
        raise TensorError(
            "PK146",
            f"ScatterND: indices{position} is {indices[tuple(position)]}; "
            f"expected {allowed} (dimension {dim} of data).",
            cause=f"{len(outside)} of {indices.size} indices are out of range.",
        )
