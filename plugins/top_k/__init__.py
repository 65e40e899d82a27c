"""TopK for any K, with its kernels in CUDA C++ and CUB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    ShapeInput,
    Step,
    TensorDesc,
    TensorError,
    Workspace,
    attribute,
    int64,
)
from pluginkit.plugins.top_k.launches import Problem

_CONTIGUOUS = {"CONTIGUOUS": (True, False)}


class TopK(Plugin):
    """The K largest or smallest elements along an axis, with their indices.

    values[..., j, ...] = the j-th of x along the axis;  x[..., indices[..., j, ...], ...] is it

    Equal elements come in the order of their indices. NaN counts as larger than everything. Without
    ``sorted`` ONNX leaves the order open; it is then the same.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear; any
                 dimension dynamic.
                 k: int64[1], a shape input; 0 to the axis's size.
    Outputs:     values: the shape of x with k along the axis, dtype of x.
                 indices: the same shape, int64.
    Attributes:  axis: int, -rank to rank - 1, default -1.
                 largest: bool, default true.
                 sorted: bool, default true.
    Tactics:     split: where rows are few and long, several blocks take a row.  rows: one block,
                 up to k = 4096; for more elements a row is split in either case.
    Workspace:   where rows are split, 8 KiB for each and 4 bytes and the size of an element for
                 each result, twice from k = 2049 on.
    Tolerance:   exact.
    Errors:      PK126 axis is out of range; PK155 k exceeds the axis; PK156 an axis of more than
                 2^31 - 1 elements.
    Source:      ONNX TopK-24; without double and types that a TensorRT plugin cannot have as an
                 output.
    """

    onnx_op = OnnxOp("TopK", since=24)
    types = {"T": OUTPUT_TYPES}
    tactics = ("split", "rows")

    axis: int = attribute(default=-1, doc="the axis along which elements are chosen")
    largest: bool = attribute(default=True, doc="the largest elements, not the smallest")
    sorted: bool = attribute(default=True, doc="in order; they are so in either case")

    x = Input("T", ranks=(1, 8))
    k = ShapeInput()
    values = Output("T")
    indices = Output(int64)

    kernel = CudaKernel("kernel.cu", "top_k<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS)
    digit_kernel = CudaKernel("split.cu", "count_digits<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS)
    segment_kernel = CudaKernel(
        "split.cu", "count_segment<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS
    )
    gather_kernel = CudaKernel("split.cu", "gather<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS)
    tile_kernel = CudaKernel("sort_tiles.cu", "sort_tiles<{T}, {CONTIGUOUS}>", _CONTIGUOUS)
    merge_kernel = CudaKernel("split.cu", "merge_runs<{T}, {CONTIGUOUS}>", _CONTIGUOUS)

    def check(self, x: TensorDesc, k: TensorDesc) -> None:
        """There are k elements, and positions fit into 32 bits."""
        size = x.shape[x.axis(self.axis)]
        if size > 2**31 - 1:
            raise TensorError("PK156", f"TopK: the axis of {x} has more than 2^31 - 1 elements.")
        if k.values[0] < 0 or k.values[0] > size:
            raise TensorError(
                "PK155", f"TopK: k is {k.values[0]}; expected 0 to {size}, axis {self.axis} of {x}."
            )

    def output_shapes(self, x: TensorDesc, k: TensorDesc) -> tuple[Shape, Shape]:
        """K along the axis, the rest as in ``x``."""
        axis = x.axis(self.axis)
        shape = (*x.shape[:axis], k.values[0], *x.shape[axis + 1 :])
        return shape, shape

    def workspace_bytes(self, x: TensorDesc, k: TensorDesc) -> Dim:
        """What the blocks of a row tell each other, and what is sorted."""
        return Problem(self, x, k).workspace_bytes()

    def launches(
        self,
        x: TensorDesc,
        k: TensorDesc,
        values: TensorDesc,
        indices: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """One launch, or several where rows are split; see steps.py."""
        return Problem(self, x, k).steps(x, values, indices, workspace)

    def reference(self, x: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A stable sort; for the largest, of the reversed axis, so that ties keep their order."""
        wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
        if self.largest:
            order = np.argsort(np.flip(wide, self.axis), self.axis, kind="stable")
            order = np.flip(x.shape[self.axis] - 1 - order, self.axis)
        else:
            order = np.argsort(wide, self.axis, kind="stable")
        indices = np.take(order, np.arange(k[0]), self.axis)
        return np.take_along_axis(x, indices, self.axis), indices.astype(np.int64)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Every axis, ties, all of a row, more than shared memory holds, few long rows, empty."""
        rng = np.random.default_rng(24)
        for name, shape, k, attributes in (
            ("long_rows", (2, 20011), 50, {}),
            ("vector", (13,), 5, {}),
            ("rows", (7, 33), 4, {}),
            ("smallest", (7, 33), 4, {"largest": False}),
            ("first_axis", (9, 5), 3, {"axis": 0}),
            ("middle_axis", (3, 11, 4), 6, {"axis": 1, "largest": False}),
            ("all", (5, 6), 6, {}),
            ("none", (5, 6), 0, {}),
            ("empty", (0, 6), 2, {}),
            ("size_one", (1, 1, 1), 1, {"axis": 1}),
            ("beyond_3840", (2, 9001), 3999, {}),
            ("beyond_shared_memory", (3, 9001), 5003, {"largest": False}),
            ("rank_eight", (2, 1, 3, 2, 5, 2, 1, 2), 2, {"axis": 4}),
        ):
            x = (rng.integers(-40, 40, shape) / 4).astype(np.float32)
            yield Case(name, [x, np.array([k])], attributes)
