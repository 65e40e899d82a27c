"""ScatterElements, complete to ONNX opset 18, with its kernel in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    int32,
    int64,
)
from pluginkit.plugins.scatter_elements.launches import Call, workspace_bytes
from pluginkit.plugins.scatter_elements.variants import choose, problem_of

_REDUCE = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


class ScatterElements(Plugin):
    """Write or reduce ``updates`` into a copy of ``data`` at ``indices`` along ``axis``.

    output = data;  o = output[i, indices[i, j, k], k];  o = f(o, updates[i, j, k])   for axis = 1

    f(o, u) is u, o + u, o * u, min(o, u) or max(o, u). A negative index counts from the end of the
    axis. An index out of range is an error in the reference; the kernel skips that update, and
    never writes out of bounds.

    Where an index occurs twice, "none" keeps the last update in the reference and one of them on a
    GPU. Integers wrap. NaN wins in "min" and "max", as in numpy. Floating-point sums and products
    run in any order. Where a shape leaves only atomics, 16-bit types also round at every update,
    where the reference accumulates in float32 and rounds once: their error grows with the number of
    updates of one element and with the largest intermediate value; the tolerance is for 16 updates
    below 4 in magnitude. deterministic=True fixes the order: results are bit-identical from run to
    run, "none" keeps the last update, and 16-bit types round once.

    Inputs:      data: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
                 indices: int64 | int32, the rank of data; only along the axis may it be larger.
                 updates: the shape of indices, the dtype of data.
    Outputs:     output: the shape and dtype of data.
    Attributes:  axis: int, -rank to rank - 1, default 0.
                 reduction: none | add | mul | min | max, default none.
                 deterministic: bool, default false.
    Workspace:   4 bytes for each row of data and updates where the axis is not the last, for each
                 element when deterministic.
    Tolerance:   float32 1e-5, float16 4e-2, bfloat16 3e-1; integers exact.
    Errors:      PK126 axis is out of range; PK140 the shapes do not fit;
                 PK141 (reference) an index is out of range; PK144 too large for deterministic.
    Source:      ONNX ScatterElements-18; without bool, uint8 and other types that a TensorRT
                 plugin cannot have as an output.
    """

    onnx_op = OnnxOp("ScatterElements", since=18)
    types = {"T": OUTPUT_TYPES, "Tind": (int64, int32)}
    tolerance = {float32: 1e-5, float16: 4e-2, bfloat16: 3e-1}

    axis: int = attribute(default=0, doc="the axis that indices count along")
    reduction: Literal["none", "add", "mul", "min", "max"] = attribute(
        default="none", doc="how an update meets the value that is there"
    )
    deterministic: bool = attribute(default=False, doc="bit-identical results from run to run")

    data = Input("T", ranks=(1, 8))
    indices = Input("Tind", ranks=(1, 8))
    updates = Input("T", ranks=(1, 8))
    output = Output("T", like="data")

    elements = CudaKernel(
        "kernel.cu",
        "scatter_elements<{T}, {Tind}, Reduction::{reduction}, {OFFSET}, {RANK}>",
        constants={"OFFSET": OFFSETS, "RANK": (3, 8)},
    )
    tile = CudaKernel(
        "kernel.cu",
        "scatter_tile<{T}, {Tind}, Reduction::{reduction}, {VECTOR}, {SORTED}>",
        constants={"VECTOR": (False, True), "SORTED": (False, True)},
    )
    column = CudaKernel("kernel.cu", "scatter_column<{T}, {Tind}, Reduction::{reduction}>")
    link_rows = CudaKernel(
        "kernel.cu", "link_rows<{Tind}, {KEEP_LAST}>", {"KEEP_LAST": (False, True)}
    )
    gather_rows = CudaKernel(
        "kernel.cu",
        "gather_rows<{T}, Reduction::{reduction}, {LANES}>",
        constants={"LANES": (4, 8, 16, 32)},
    )
    link_elements = CudaKernel(
        "kernel.cu", "link_elements<{Tind}, {RANK}>", constants={"RANK": (3, 8)}
    )
    gather_elements = CudaKernel("kernel.cu", "gather_elements<{T}, Reduction::{reduction}>")

    def check(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> None:
        """One rank for all; one shape for indices and updates, inside data's off the axis."""
        axis = data.axis(self.axis)
        tensors = f"ScatterElements: {data}, {indices}, {updates}"
        if not data.ndim == indices.ndim == updates.ndim:
            raise TensorError("PK140", f"{tensors}; expected one rank for all three.")
        if indices.shape != updates.shape:
            raise TensorError("PK140", f"{tensors}; expected one shape for indices and updates.")
        for dim in range(data.ndim):
            if dim != axis and indices.shape[dim] > data.shape[dim]:
                raise TensorError(
                    "PK140", f"{tensors}; indices exceed data in dimension {dim}, not axis {axis}."
                )

    def workspace_bytes(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> int:
        """Lists of updates, where a variant keeps them in global memory."""
        return workspace_bytes(problem_of(self, data, indices, updates), data, updates)

    def launches(
        self,
        data: TensorDesc,
        indices: TensorDesc,
        updates: TensorDesc,
        output: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """The variant that suits the shape; see variants.py."""
        problem = problem_of(self, data, indices, updates)
        call = Call(self, data, indices, updates, output, workspace, problem)
        return call.steps(choose(problem))

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        """``ufunc.at`` on the index grid; 16-bit floats accumulate in float32, rounded once."""
        axis = self.axis % data.ndim
        size = data.shape[axis]
        _check_indices(indices, size, axis)
        places: list[np.ndarray] = list(np.indices(indices.shape, sparse=True))
        places[axis] = np.where(indices < 0, indices + size, indices)
        wide = np.float32 if data.dtype.itemsize == 2 else data.dtype
        output, updates = data.astype(wide), updates.astype(wide)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.reduction == "none":
                output[tuple(places)] = updates
            else:
                _REDUCE[self.reduction].at(output, tuple(places), updates)
            return output.astype(data.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Every reduction; ranks 1 to 8; updates smaller than data, empty, with duplicates."""
        rng = np.random.default_rng(18)
        for name, data, updates, axis, reduction in (
            ("vector", (11,), (5,), 0, "add"),
            ("duplicates", (4,), (13,), 0, "add"),
            ("columns", (3, 5), (3, 5), 1, "max"),
            ("rows", (7, 5), (3, 5), 0, "min"),
            ("smaller_updates", (5, 9, 7), (3, 4, 2), 1, "add"),
            ("negative_axis", (6, 5, 4), (6, 7, 4), -2, "mul"),
            ("last_axis", (17, 33), (17, 15), -1, "add"),
            ("write", (9, 31), (4, 29), 0, "none"),
            ("write_inner", (3, 8, 5), (3, 8, 5), 2, "none"),
            ("size_one", (1, 1, 1), (1, 6, 1), 1, "mul"),
            ("empty_updates", (4, 6), (0, 6), 0, "add"),
            ("empty_data", (0, 6), (0, 4), 1, "max"),
            ("rank_eight", (2, 3, 2, 3, 2, 3, 2, 3), (2, 2, 1, 3, 2, 2, 2, 2), 4, "min"),
            ("rank_eight_full", (2, 1, 2, 2, 3, 2, 1, 2), (2, 1, 2, 2, 5, 2, 1, 2), 4, "add"),
            ("graph", (101, 16), (523, 16), 0, "add"),
        ):
            size = data[axis]
            if reduction == "none":  # a duplicate would leave the result open
                every = rng.permuted(np.indices(data)[axis], axis=axis)
                indices = every[tuple(slice(n) for n in updates)]
                indices = np.where(rng.random(updates) < 0.3, indices - size, indices)
            else:
                indices = rng.integers(-size, max(size, 1), updates)
            values = [rng.uniform(-4, 4, shape).astype(np.float32) for shape in (data, updates)]
            attributes = {"axis": axis, "reduction": reduction}
            yield Case(name, [values[0], indices, values[1]], attributes)


def _check_indices(indices: np.ndarray, size: int, axis: int) -> None:
    outside = np.argwhere((indices < -size) | (indices >= size))
    if len(outside):
        position = outside[0].tolist()
        allowed = f"{-size} to {size - 1}" if size else "no index, as the axis is empty"
        raise TensorError(
            "PK141",
            f"ScatterElements: indices{position} is {indices[tuple(position)]}; "
            f"expected {allowed} (axis {axis}).",
            cause=f"{len(outside)} of {indices.size} indices are out of range.",
        )
