"""GridSample for any number of spatial axes, with kernels in CUDA C++ and in numba.cuda."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    DType,
    Input,
    Launch,
    NumbaKernel,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    TensorError,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
)
from pluginkit.plugins.grid_sample.launches import launches_of
from pluginkit.plugins.grid_sample.pixel_copy import LANES, copy_for
from pluginkit.plugins.grid_sample.reference import grid_sample
from pluginkit.plugins.grid_sample.shapes import check_shapes


class GridSample(Plugin):
    """Sample ``x`` at the locations that ``grid`` gives, in coordinates from -1 to 1.

    y[n, c, i, j] = x[n, c] at row grid[n, i, j, 1], column grid[n, i, j, 0]   for two spatial axes

    A coordinate g along an axis of size s means the pixel (g + 1) / 2 * (s - 1) with align_corners,
    ((g + 1) * s - 1) / 2 without, in float32. Between pixels, "linear" and "cubic" weigh the 2 or 4
    nearest ones along each axis; "nearest" takes one, of two equally near the even one. Pixels
    outside count as 0, as the nearest one inside, or as the one mirrored at the edge: at the centre
    of the outermost pixels with align_corners, at their outer edge without. That is done to the
    pixels that are read, never to the coordinate, as in ONNX Runtime and torch; onnx's evaluator
    moves the coordinate first, which shows in "cubic" with "border".

    A coordinate further than 2^30 pixels out counts as that far out, NaN as far before the first
    pixel: 0 with zeros, an edge's value with border, some value of x with reflection. No
    coordinate leads out of bounds. What padding makes 0 is 0 beside NaN and infinity too.

    Integers have no values between: they need mode "nearest", which copies elements of any type.
    The others accumulate in float32 and round once.

    Inputs:      x: (N, C, *sizes), rank 3 to 8, float32 | float16 | bfloat16, linear, and with mode
                 "nearest" int64 | int32 | int8; any dimension dynamic.
                 grid: (N, *out_sizes, rank of x - 2), float32 | float16 | bfloat16; the coordinate
                 along the last axis of x comes first.
    Outputs:     y: (N, C, *out_sizes), dtype of x.
    Attributes:  mode: linear | nearest | cubic, default linear; opset 16 says bilinear, bicubic.
                 padding_mode: zeros | border | reflection, default zeros.
                 align_corners: bool, default false.
    Workspace:   where the output is large, a copy of x, of at most twice the output's size.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 2e-2; integers exact.
    Errors:      PK148 the shapes do not fit; PK149 integers with linear or cubic; PK150 an axis of
                 x is longer than 2^30; PK151 an empty axis of x, where padding reads from it.
    Source:      ONNX GridSample-22; without bool, uint8 and other types that a TensorRT plugin
                 cannot have as an output.
    """

    onnx_op = OnnxOp("GridSample", since=22)
    types = {"T1": OUTPUT_TYPES, "T2": FLOAT_TYPES}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 2e-2}

    mode: Literal["linear", "nearest", "cubic"] = attribute(
        default="linear", doc="how values between pixels are found"
    )
    padding_mode: Literal["zeros", "border", "reflection"] = attribute(
        default="zeros", doc="what pixels outside count as"
    )
    align_corners: bool = attribute(default=False, doc="-1 and 1 are centres of pixels, not edges")

    x = Input("T1", ranks=(3, 8))
    grid = Input("T2", ranks=(3, 8))
    y = Output("T1")

    kernel = CudaKernel(
        "kernel.cu",
        "grid_sample<{T1}, {T2}, Mode::{mode}, Padding::{padding_mode}, {align_corners}, {AXES}, "
        "{PACK}, {OFFSET}>",
        {"AXES": (2, 3), "PACK": (1, 2), "OFFSET": OFFSETS},
    )
    collect_pixels = CudaKernel(
        "pixel_copy.cu",
        "collect_pixels<{T1}, {T2}, {AXES}, {LANES}>",
        {"AXES": (2, 3), "LANES": LANES},
    )
    sample_pixels = CudaKernel(
        "pixel_copy.cu",
        "sample_pixels<{T1}, {T2}, Mode::{mode}, Padding::{padding_mode}, {align_corners}, {AXES}, "
        "{LANES}, {OFFSET}>",
        {"AXES": (2, 3), "LANES": LANES, "OFFSET": OFFSETS},
    )
    nearest = NumbaKernel("kernel.py", "nearest")
    nearest_at_bfloat16 = NumbaKernel("kernel.py", "nearest_at_bfloat16")
    interpolate = NumbaKernel("kernel.py", "interpolate")
    interpolate_at_bfloat16 = NumbaKernel("kernel.py", "interpolate_at_bfloat16")
    interpolate_bfloat16 = NumbaKernel("kernel.py", "interpolate_bfloat16")
    interpolate_bfloat16_at_bfloat16 = NumbaKernel("kernel.py", "interpolate_bfloat16_at_bfloat16")

    def check(self, x: TensorDesc, grid: TensorDesc) -> None:
        """The grid has a location's coordinates for every item; there is something to sample."""
        check_shapes(self, x, grid)

    def output_types(self, x: TensorDesc, grid: TensorDesc) -> DType:
        """The dtype of ``x``; refuses integers where there would be values between them."""
        if self.mode != "nearest" and not x.dtype.is_floating:
            raise TensorError(
                "PK149",
                f"GridSample: x is {x.dtype.name} in mode {self.mode!r}; expected a "
                "floating-point type.",
                fix='use mode "nearest", or cast.',
            )
        return x.dtype

    def output_shapes(self, x: TensorDesc, grid: TensorDesc) -> Shape:
        """The channels of ``x`` at the locations of ``grid``."""
        return *x.shape[:2], *grid.shape[1:-1]

    def workspace_bytes(self, x: TensorDesc, grid: TensorDesc) -> int:
        """A copy of ``x`` that scattered locations are read from, where it may be worth it."""
        return copy_for(x, grid).workspace_bytes

    def launches(
        self, x: TensorDesc, grid: TensorDesc, y: TensorDesc, workspace: Workspace
    ) -> Sequence[Launch]:
        """CUDA C++ for two and three spatial axes, numba for any other number."""
        return launches_of(self, x, grid, y, workspace)

    def reference(self, x: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """See reference.py."""
        return grid_sample(x, grid, self.mode, self.padding_mode, self.align_corners)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Every mode and padding, ranks 3 to 8, odd, empty and size-1 axes, pairs and tiles.

        Coordinates are multiples of 1/8: all types hold them, and many lie halfway between pixels.
        """
        rng = np.random.default_rng(22)
        for name, shape, out_sizes, mode, padding_mode, align_corners, reach in (
            ("labels", (2, 3, 4, 5), (3, 7), "nearest", "zeros", False, 1.5),
            ("image", (2, 3, 5, 7), (4, 6), "linear", "zeros", False, 1.5),
            ("image_border", (1, 5, 7, 3), (3, 5), "linear", "border", True, 2),
            ("image_reflection", (1, 2, 4, 6), (5, 4), "linear", "reflection", False, 2),
            ("labels_reflection", (1, 2, 3, 5), (5, 6), "nearest", "reflection", True, 2),
            ("cubic", (1, 2, 6, 5), (4, 5), "cubic", "zeros", True, 1.5),
            ("cubic_border", (1, 2, 5, 5), (3, 6), "cubic", "border", False, 1),
            ("cubic_reflection", (1, 1, 5, 7), (3, 4), "cubic", "reflection", True, 2),
            ("volume", (2, 3, 3, 4, 5), (2, 3, 3), "linear", "zeros", True, 1.5),
            ("volume_nearest", (1, 2, 4, 3, 2), (3, 2, 4), "nearest", "border", False, 2),
            ("volume_reflection", (1, 2, 2, 3, 4), (2, 2, 4), "linear", "reflection", True, 2),
            ("volume_cubic", (1, 2, 3, 4, 3), (2, 2, 2), "cubic", "zeros", False, 1.5),
            ("sequence", (2, 3, 7), (9,), "linear", "border", True, 1.5),
            ("sequence_cubic", (2, 3, 6), (5,), "cubic", "reflection", False, 2),
            ("four_axes", (1, 2, 2, 3, 2, 3), (2, 1, 2, 3), "linear", "zeros", False, 1.5),
            ("four_axes_nearest", (1, 2, 2, 3, 2, 3), (2, 1, 2, 3), "nearest", "zeros", True, 1.5),
            ("size_one", (1, 1, 1, 1), (1, 3), "linear", "zeros", False, 2),
            ("size_one_aligned", (1, 2, 1, 3), (1, 3), "linear", "border", True, 1),
            ("empty_batch", (0, 3, 4, 4), (2, 2), "linear", "zeros", False, 1),
            ("empty_output", (2, 3, 4, 4), (0, 5), "cubic", "border", True, 1),
            ("no_pixels", (1, 2, 0, 3), (2, 2), "linear", "zeros", False, 1),
            ("tiles", (1, 18, 6, 7), (10, 40), "nearest", "border", False, 1.5),
        ):
            x = rng.uniform(-1, 1, shape)
            limit = int(8 * reach)
            points = rng.integers(-limit, limit + 1, (shape[0], *out_sizes, len(shape) - 2)) / 8
            attributes = {
                "mode": mode,
                "padding_mode": padding_mode,
                "align_corners": align_corners,
            }
            arrays = [(8 * x if mode == "nearest" else x), points]
            yield Case(name, [array.astype(np.float32) for array in arrays], attributes)
