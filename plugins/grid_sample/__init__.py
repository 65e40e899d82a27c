"""GridSample for any number of spatial axes, in CUDA C++ and numba.cuda."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    DType,
    Input,
    InputError,
    Launch,
    NumbaKernel,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
)
from pluginkit.plugins.grid_sample.cases import sample_calls
from pluginkit.plugins.grid_sample.launches import DEFINES, FEW_RUNS, launches_of
from pluginkit.plugins.grid_sample.pixel_copy import LANES, copy_bound, copy_for
from pluginkit.plugins.grid_sample.reference import Mode, Padding, grid_sample
from pluginkit.plugins.grid_sample.shapes import check_shapes


class GridSample(Plugin):
    """Sample ``x`` at the locations that ``grid`` gives, in coordinates from -1 to 1.

    y[n, c, i, j] = x[n, c] at row grid[n, i, j, 1], column grid[n, i, j, 0]   for two spatial axes

    A coordinate g along an axis of size s means the pixel (g + 1) / 2 * (s - 1) with align_corners,
    and ((g + 1) * s - 1) / 2 without, in float32. "linear" and "cubic" weigh the 2 or 4 nearest
    pixels along each axis; "nearest" takes one, and the even one of two that are equally near. A
    pixel outside counts as 0, as the nearest pixel inside, or as the pixel mirrored at the edge: at
    the centre of the outermost pixel with align_corners, at its outer edge without. As in ONNX
    Runtime and torch, padding moves the pixels that are read and not the coordinate; onnx's
    evaluator moves the coordinate, which makes a difference in "cubic" with "border".

    A coordinate further than 2^30 pixels out counts as that far out, and NaN as that far before
    the first pixel: 0 with zeros, an edge's value with border, some value of x with reflection. No
    coordinate leads out of bounds. A pixel that padding makes 0 adds 0, also where x has NaN or
    infinity.

    Integers need mode "nearest", which copies elements of any type. The other modes accumulate in
    float32 and round once.

    Inputs:      x: (N, C, *sizes), rank 3 to 8, float32 | float16 | bfloat16, linear, and with mode
                 "nearest" int64 | int32 | int8; any dimension dynamic.
                 grid: (N, *out_sizes, rank of x - 2), float32 | float16 | bfloat16; the coordinate
                 along the last axis of x comes first.
    Outputs:     y: (N, C, *out_sizes), dtype of x.
    Attributes:  mode: linear | nearest | cubic, default linear; opset 16 says bilinear, bicubic.
                 padding_mode: zeros | border | reflection, default zeros.
                 align_corners: bool, default false.
    Workspace:   where the output is large, a copy of x, at most twice as large as the output.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 2e-2; integers exact.
    Errors:      PK124 x and grid differ in N. shapes: they do not fit each other otherwise.
                 type: integers with linear or cubic.
                 size: an axis of x is longer than 2^30. empty: an axis of x is empty, and the
                 padding reads from it.
    Source:      ONNX GridSample-22; without bool, uint8 and other types that a TensorRT plugin
                 cannot have as an output.
    """

    onnx_op = OnnxOp("GridSample", since=22)
    types = {"T1": OUTPUT_TYPES, "T2": FLOAT_TYPES}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 2e-2}

    mode: Mode = attribute(default="linear", doc="how values between pixels are found")
    padding_mode: Padding = attribute(default="zeros", doc="what pixels outside count as")
    align_corners: bool = attribute(default=False, doc="-1 and 1 are centres of pixels, not edges")

    x = Input("T1", shape=("N", "C", None, ...))
    grid = Input("T2", shape=("N", None, ..., None))
    y = Output("T1")

    kernel = CudaKernel(
        "kernel.cu",
        "grid_sample<{T1}, {T2}, Mode::{mode}, Padding::{padding_mode}, {align_corners}, {AXES}, "
        "{PACK}, {OFFSET}>",
        {"AXES": (2, 3), "PACK": (1, 2), "OFFSET": OFFSETS},
        defines=DEFINES,
        overlaps=True,
    )
    sample_few = CudaKernel(
        "kernel.cu",
        "sample_few<{T1}, {T2}, Mode::{mode}, Padding::{padding_mode}, {align_corners}, {RUN}, "
        "{FLAT}, {OFFSET}>",
        {"RUN": FEW_RUNS, "FLAT": (False, True), "OFFSET": OFFSETS},
        defines=DEFINES,
    )
    collect_pixels = CudaKernel(
        "pixel_copy.cu",
        "collect_pixels<{T1}, {T2}, {AXES}, {LANES}>",
        {"AXES": (2, 3), "LANES": LANES},
        defines=DEFINES,
    )
    sample_pixels = CudaKernel(
        "pixel_copy.cu",
        "sample_pixels<{T1}, {T2}, Mode::{mode}, Padding::{padding_mode}, {align_corners}, {AXES}, "
        "{LANES}, {OFFSET}>",
        {"AXES": (2, 3), "LANES": LANES, "OFFSET": OFFSETS},
        defines=DEFINES,
        overlaps=True,
    )
    nearest = NumbaKernel("kernel.py", "nearest")
    nearest_at_bfloat16 = NumbaKernel("kernel.py", "nearest_at_bfloat16")
    interpolate = NumbaKernel("kernel.py", "interpolate")
    interpolate_at_bfloat16 = NumbaKernel("kernel.py", "interpolate_at_bfloat16")
    interpolate_bfloat16 = NumbaKernel("kernel.py", "interpolate_bfloat16")
    interpolate_bfloat16_at_bfloat16 = NumbaKernel("kernel.py", "interpolate_bfloat16_at_bfloat16")

    def check(self, x: TensorDesc, grid: TensorDesc) -> None:
        """Check that grid fits x, and that x has pixels to sample; see shapes.py."""
        check_shapes(self, x, grid)

    def output_types(self, x: TensorDesc, grid: TensorDesc) -> DType:
        """Return the dtype of ``x``; refuse integers in modes that compute values between them."""
        if self.mode != "nearest" and not x.dtype.is_floating:
            raise InputError(
                f"x is {x.dtype.name} in mode {self.mode!r}; expected a floating-point type.",
                code="type",
                fix='use mode "nearest", or cast.',
            )
        return x.dtype

    def output_shapes(self, x: TensorDesc, grid: TensorDesc) -> Shape:
        """Return the batch and channels of ``x``, and the sizes of ``grid``."""
        return *x.shape[:2], *grid.shape[1:-1]

    def workspace_bytes(self, x: TensorDesc, grid: TensorDesc) -> int:
        """Return room for a copy of ``x``, where sampling from one may be faster."""
        return copy_for(x, grid).workspace_bytes

    def workspace_bound(self, x: TensorDesc, grid: TensorDesc) -> Dim:
        """Return room for a copy of ``x``, or for the largest one that may be worth it."""
        return copy_bound(x, grid)

    def launches(
        self, x: TensorDesc, grid: TensorDesc, y: TensorDesc, workspace: Workspace
    ) -> Sequence[Launch]:
        """Return kernels in CUDA C++ for two and three spatial axes, in numba for other numbers."""
        return launches_of(self, x, grid, y, workspace)

    def reference(self, x: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return grid_sample(x, grid, self.mode, self.padding_mode, self.align_corners)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Return sample calls; see cases.py."""
        return sample_calls()
