"""TopK for any k, in CUDA C++ and CUB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    ShapeInput,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    int64,
)
from pluginkit.plugins.top_k.launches import DEFINES, EACH, TopKProblem, workspace_bound

_CONTIGUOUS = {"CONTIGUOUS": (True, False)}


class TopK(Plugin):
    """Return the k largest or smallest elements along an axis, with their indices.

    values[..., j, ...] = x[..., indices[..., j, ...], ...] = the j-th largest of x along the axis

    Equal elements come in the order of their indices. NaN counts as larger than everything. With
    sorted=False ONNX leaves the order open; here it is the same.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear; any
                 dimension dynamic.
                 k: int64[1], a shape input; 0 to the axis's size.
    Outputs:     values: the shape of x with k along the axis, dtype of x.
                 indices: the same shape, int64.
    Attributes:  axis: int, -rank to rank - 1, default -1.
                 largest: bool, default true.
                 sorted: bool, default true.
    Tactics:     split: several blocks share a row where rows are few and long.  rows: one block
                 takes a row, up to k = 4096; for a larger k rows are split with both tactics. With
                 both a warp takes a row of up to 1024 elements, or up to 4096 where there are many
                 rows, for k up to 32, and one of up to 512 for any k; a block sorts a longer row,
                 of many, that has up to 34 KiB and 17408 elements, where k is a large part of it,
                 and has one of up to 8 KiB and 4096 elements in its registers for k up to 341.
    Workspace:   where rows are split, for each row 8 KiB for every 11 bits of an element, and for
                 each of k + 1024 elements twice its size and 4 bytes.
    Tolerance:   exact.
    Errors:      PK126 axis is out of range. k: k is negative or exceeds the axis. size: the axis
                 has more than 2^31 - 1 elements.
    Source:      ONNX TopK-24; without double and types that a TensorRT plugin cannot have as an
                 output.
    """

    onnx_op = OnnxOp("TopK", since=24)
    types = {"T": OUTPUT_TYPES}
    tactics = ("split", "rows")

    axis: int = attribute(default=-1, doc="the axis along which elements are chosen")
    largest: bool = attribute(default=True, doc="whether to return the largest elements")
    sorted: bool = attribute(default=True, doc="whether in order; they always are")

    x = Input("T", ranks=(1, 8))
    k = ShapeInput()
    values = Output("T")
    indices = Output(int64)

    kernel = CudaKernel(
        "kernel.cu", "top_k<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )
    short_kernel = CudaKernel(
        "short_rows.cu", "short_rows<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )
    sort_kernel = CudaKernel(
        "sort_rows.cu", "sort_rows<{T}, {largest}, {EACH}>", {"EACH": EACH}, defines=DEFINES
    )
    register_kernel = CudaKernel(
        "select_rows.cu", "select_rows<{T}, {largest}, {EACH}>", {"EACH": EACH}, defines=DEFINES
    )
    long_kernel = CudaKernel(
        "sort_long_rows.cu",
        "sort_long_rows<{T}, {largest}, {THREADS}, {ITEMS}>",
        {"THREADS": (128, 256, 512, 1024), "ITEMS": (9, 17)},
        defines=DEFINES,
    )
    select_kernel = CudaKernel(
        "split.cu", "select_keys<{T}, {largest}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )
    rank_kernel = CudaKernel(
        "split.cu", "rank_keys<{T}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )
    tile_kernel = CudaKernel(
        "sort_tiles.cu", "sort_tiles<{T}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )
    merge_kernel = CudaKernel(
        "split.cu", "merge_runs<{T}, {CONTIGUOUS}>", _CONTIGUOUS, defines=DEFINES
    )

    def check(self, x: TensorDesc, k: TensorDesc) -> None:
        """Check that the axis has k elements, and that their positions fit into 32 bits."""
        size = x.shape[x.axis(self.axis)]
        if size > 2**31 - 1:
            raise InputError(
                f"{x}; expected at most 2^31 - 1 elements along axis {self.axis}.", code="size"
            )
        if k.values[0] < 0 or k.values[0] > size:
            raise InputError(
                f"k is {k.values[0]}; expected 0 to {size}, axis {self.axis} of {x}.", code="k"
            )

    def output_shapes(self, x: TensorDesc, k: TensorDesc) -> tuple[Shape, Shape]:
        """Return the shape of ``x`` with k along the axis."""
        axis = x.axis(self.axis)
        shape = (*x.shape[:axis], k.values[0], *x.shape[axis + 1 :])
        return shape, shape

    def workspace_bytes(self, x: TensorDesc, k: TensorDesc) -> Dim:
        """Return room for histograms, states and counts of rows, and for keys and places."""
        return TopKProblem(self, x, k).workspace_bytes()

    def workspace_bound(self, x: TensorDesc, k: TensorDesc) -> Dim:
        """Return room for histograms, states and counts of rows, and for keys and places."""
        return workspace_bound(self, x, k)

    def launches(
        self,
        x: TensorDesc,
        k: TensorDesc,
        values: TensorDesc,
        indices: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """Return one launch, or several where rows are split."""
        return TopKProblem(self, x, k).steps(x, values, indices, workspace)

    def reference(self, x: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sort stably; for the largest, sort the reversed axis, so that ties keep their order."""
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
        """Yield every axis, ties, all of a row, more than shared memory holds, few long rows."""
        rng = np.random.default_rng(24)
        for name, shape, k, attributes in (
            ("long_rows", (2, 20011), 50, {}),
            ("vector", (13,), 5, {}),
            ("rows", (7, 33), 4, {}),
            ("smallest", (7, 33), 4, {"largest": False}),
            ("first_axis", (9, 5), 3, {"axis": 0}),
            ("middle_axis", (3, 11, 4), 6, {"axis": 1, "largest": False}),
            ("all", (5, 6), 6, {}),
            ("a_warp_sorts", (2, 90, 3), 70, {"axis": 1, "largest": False}),
            ("all_of_512", (2, 512), 512, {}),
            ("none", (5, 6), 0, {}),
            ("empty", (0, 6), 2, {}),
            ("size_one", (1, 1, 1), 1, {"axis": 1}),
            ("beyond_3840", (2, 9001), 3999, {}),
            ("beyond_shared_memory", (3, 9001), 5003, {"largest": False}),
            ("rank_eight", (2, 1, 3, 2, 5, 2, 1, 2), 2, {"axis": 4}),
        ):
            x = (rng.integers(-40, 40, shape) / 4).astype(np.float32)
            yield Case(name, [x, np.array([k])], attributes)
        for name, row, k in _rows_for_every_path():
            for largest in (True, False):
                x = np.stack([row, row[::-1]]) * np.float32(1 if largest else -1)
                yield Case(f"{name}, {largest}", [x, np.array([k])], {"largest": largest})
                down = {"largest": largest, "axis": 0}
                yield Case(f"{name} down, {largest}", [x.T.copy(), np.array([k])], down)


def _rows_for_every_path() -> Iterable[tuple[str, np.ndarray, int]]:
    """Yield rows and k for the rare paths through the kernel."""
    few = np.arange(2100, dtype=np.float32)
    yield "most are dropped", few, 3
    yield "a warp sorts what registers hold", few[::2], 100
    yield "more are equal than a warp sorts", few[:700] % 3, 40
    yield "more are equal than shared memory holds", np.full(4500, 0.5, np.float32), 9
    misleading = np.zeros(16400, np.float32)
    sampled = np.arange(160)
    sampled += sampled // 8 * 24  # take_sample looks at 8 of each 32
    misleading[sampled] = np.where(np.arange(160) < 100, 100, 10)
    yield "the sample misleads", misleading, 200
    lanes = np.arange(512, dtype=np.float32)
    lanes[np.arange(512) % 32 > 8] = 0
    yield "few lanes of a warp have what is large", lanes, 20
