"""RoiAlign, a pyramid's crop of each region of interest, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Input,
    InputError,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    attribute,
    bfloat16,
    float16,
    float32,
    int64,
)
from pluginkit.plugins.roi_align.cases import roi_align_cases
from pluginkit.plugins.roi_align.launches import (
    CHANNELS,
    DEFINES,
    FEW_KEPT,
    KEPT,
    POWERS,
    Pooling,
    launch_of,
)
from pluginkit.plugins.roi_align.reference import roi_align


def _positive(value: int) -> str | None:
    return None if value > 0 else "expected 1 or more"


class RoiAlign(Plugin):
    """Crop each region of interest to a grid of bins; a bin is the mean of interpolated samples.

    Y[r, c, i, j] = mean, or maximum, of X[batch_indices[r], c] at the samples of bin (i, j)

    A sample is interpolated bilinearly between the centres of four pixels. Up to a pixel outside X
    it is that of the edge; further out, and where a coordinate is NaN, it is 0. The maximum is of
    the four weighted pixels of every sample, as in ONNX Runtime and in ONNX's own evaluator.
    Coordinates are computed in float32, after one rounding of each operation, and so are sums.

    Inputs:      X: (N, C, H, W) float32 | float16 | bfloat16, linear; any dimension dynamic.
                 rois: (R, 4), dtype of X, linear: x1, y1, x2, y2.
                 batch_indices: (R,) int64, linear. A region of an image that is not there is NaN.
    Outputs:     Y: (R, C, output_height, output_width), dtype of X.
    Attributes:  coordinate_transformation_mode: half_pixel | output_half_pixel, default half_pixel.
                 With output_half_pixel, as in opset 10 and torchvision's aligned=False, pixels lie
                 half a pixel further, and a region is at least one pixel wide and high.
                 mode: avg | max, default avg.
                 output_height, output_width: int, > 0, default 1.
                 sampling_ratio: int, >= 0, default 0: samples of a bin along an axis; 0 for the
                 pixels of a bin, rounded up.
                 spatial_scale: float, default 1: from the coordinates of rois to pixels.
    Workspace:   none.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, Y).
    Errors:      PK104 an attribute is out of range. PK124 rois and batch_indices do not fit each
                 other. size: an axis of X has no pixel, or more than 2^24.
    Source:      ONNX RoiAlign-22, without double.
    """

    onnx_op = OnnxOp("RoiAlign", since=22)
    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 1.6e-2}

    coordinate_transformation_mode: Literal["half_pixel", "output_half_pixel"] = attribute(
        default="half_pixel", doc="where the centre of a pixel is"
    )
    mode: Pooling = attribute(default="avg", doc="what a bin is of its samples")
    output_height: int = attribute(default=1, check=_positive, doc="bins along y")
    output_width: int = attribute(default=1, check=_positive, doc="bins along x")
    sampling_ratio: int = attribute(
        default=0,
        check=lambda value: None if value >= 0 else "expected 0 or more",
        doc="samples of a bin along an axis; 0 adapts it",
    )
    spatial_scale: float = attribute(default=1.0, doc="pixels for each unit of rois")

    X = Input("T", shape=("N", "C", "H", "W"))
    rois = Input("T", shape=("R", 4))
    batch_indices = Input(int64, shape=("R",))
    Y = Output("T")

    kernel = CudaKernel(
        "kernel.cu",
        "roi_align<{T}, pluginkit::Pooling::{mode}, {CHANNELS}, {MERGED}, {KEPT}>",
        {"CHANNELS": CHANNELS, "MERGED": (False, True), "KEPT": (KEPT, FEW_KEPT)},
        defines=DEFINES,
    )

    alone = CudaKernel(
        "kernel.cu",
        "roi_align_alone<{T}, pluginkit::Pooling::{mode}, {POWER}>",
        {"POWER": POWERS},
        defines=DEFINES,
    )

    def check(self, X: TensorDesc, rois: TensorDesc, batch_indices: TensorDesc) -> None:  # noqa: N803  # ONNX's name
        """Check that X has pixels, and no more than float32 counts."""
        if min(X.shape[2:]) == 0 or max(X.shape[2:]) > 2**24:
            raise InputError(f"{X}; expected 1 to 2^24 pixels along an axis.", code="size")

    def output_shapes(self, X: TensorDesc, rois: TensorDesc, batch_indices: TensorDesc) -> Shape:  # noqa: N803
        """Return a grid of bins for each region and channel."""
        return rois.shape[0], X.shape[1], self.output_height, self.output_width

    def launches(
        self,
        X: TensorDesc,  # noqa: N803
        rois: TensorDesc,
        batch_indices: TensorDesc,
        Y: TensorDesc,  # noqa: N803
    ) -> Launch:
        """Return one launch; launches.py gives bins to threads."""
        return launch_of(self, X, rois, batch_indices, Y)

    def reference(self, X: np.ndarray, rois: np.ndarray, batch_indices: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy; see reference.py."""
        return roi_align(self, X, rois, batch_indices)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield both modes and both pixel centres, regions inside, outside and huge, and empty."""
        return roi_align_cases()
