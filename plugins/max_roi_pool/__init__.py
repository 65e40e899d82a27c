"""MaxRoiPool, the largest pixels of each region of interest, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

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
    ceil_div,
    dim_max,
    dim_min,
    float16,
    float32,
    int32,
    known,
    product,
    where,
)
from pluginkit.plugins.max_roi_pool.cases import max_roi_pool_cases
from pluginkit.plugins.max_roi_pool.reference import FURTHEST, max_roi_pool

_THREADS = 256
#: The pixels along each axis of the largest bins that a thread takes: of few bins, for which a warp
#: is faster, and of so many that a thread for each fills a GPU.
_SMALL, _MEDIUM, _MANY = 5, 9, 2**17
#: A warp's cells for the largest pixels of columns, and the fewest for a row of bins.
_CELLS, _NARROWEST = 256, 8
#: The most rows of bins of a warp, and as many warps are wanted before one takes several.
_ROWS, _WARPS = 32, 8448
#: What a bin is whose pixels are all NaN or minus infinity, as in ONNX Runtime.
_LOWEST = {float32: -3.4028234663852886e38, float16: -65504.0, bfloat16: -3.3895313892515355e38}
_DEFINES = {
    "THREADS": _THREADS,
    "CELLS": _CELLS,
    "NARROWEST": _NARROWEST,
    "FURTHEST": FURTHEST,
}


def _complaint(sizes: tuple[int, ...]) -> str | None:
    return None if len(sizes) == 2 and min(sizes) > 0 else "expected two numbers, 1 or more"


class MaxRoiPool(Plugin):
    """Divide each region of interest into a grid of bins, and return the largest pixel of each.

    Y[r, c, i, j] = maximum of X[rois[r, 0], c] over the pixels of bin (i, j)

    Corners are rounded to pixels, halves away from zero, and belong to the region, which is at
    least one pixel wide and high. Bins may overlap by a pixel. A bin outside X is 0. NaN is not
    larger than any number.

    Inputs:      X: (N, C, H, W) float32 | float16 | bfloat16, linear; any dimension dynamic.
                 rois: (R, 5), dtype of X, linear: the image, x1, y1, x2, y2. A region of an image
                 that is not there is NaN.
    Outputs:     Y: (R, C, *pooled_shape), dtype of X.
    Attributes:  pooled_shape: int[2], > 0, required; bins along y and x.
                 spatial_scale: float, default 1: from the coordinates of rois to pixels.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK104 pooled_shape is out of its range. size: an axis of X has more than 2^24
                 pixels, or a region 2^31 bins.
    Source:      ONNX MaxRoiPool-22, without double; torchvision's roi_pool.
    """

    onnx_op = OnnxOp("MaxRoiPool", since=22)
    types = {"T": FLOAT_TYPES}

    pooled_shape: tuple[int, ...] = attribute(check=_complaint, doc="bins along y and x")
    spatial_scale: float = attribute(default=1.0, doc="pixels for each unit of rois")

    X = Input("T", shape=("N", "C", "H", "W"))
    rois = Input("T", shape=("R", 5))
    Y = Output("T")

    kernel = CudaKernel(
        "kernel.cu",
        "max_roi_pool<{T}>",
        options=("-ftz=false",),  # denormals are not equal to 0
        defines=_DEFINES,
    )

    def check(self, X: TensorDesc, rois: TensorDesc) -> None:  # noqa: N803  # ONNX's name
        """Check that X has no more pixels than float32 counts, and Y no more bins than int32."""
        if max(X.shape[2:]) > 2**24:
            raise InputError(f"{X}; expected at most 2^24 pixels along an axis.", code="size")
        if known(X.shape[1]) * product(self.pooled_shape) >= 2**31:
            raise InputError(f"{X}; expected fewer than 2^31 bins of a region.", code="size")

    def output_shapes(self, X: TensorDesc, rois: TensorDesc) -> Shape:  # noqa: N803
        """Return a grid of bins for each region and channel."""
        return rois.shape[0], X.shape[1], *self.pooled_shape

    def launches(self, X: TensorDesc, rois: TensorDesc, Y: TensorDesc) -> Launch:  # noqa: N803
        """Return one launch in which a warp takes a run of rows of bins."""
        regions, rows = rois.shape[0], X.shape[1] * self.pooled_shape[0]
        run = dim_max(dim_min(ceil_div(regions * rows, _WARPS), _ROWS), 1)
        sizes = int32((*X.shape, *self.pooled_shape))
        alone = int32(where(Y.size >= _MANY, _MEDIUM, _SMALL))
        lowest = float32(_LOWEST[X.dtype])
        args = (Y, X, rois, sizes, int32(regions), int32(run), alone, self.spatial_scale, lowest)
        # As many as have rows, and as have a thread for four small bins, or for each of a channel.
        bins = dim_max(X.shape[1], 4) * product(self.pooled_shape)
        warps = dim_min(dim_max(ceil_div(rows, run), ceil_div(bins, 128)), _THREADS // 32)
        return Launch(self.kernel, regions * ceil_div(rows, warps * run), 32 * warps, args)

    def reference(self, X: np.ndarray, rois: np.ndarray) -> np.ndarray:  # noqa: N803
        """Compute the same in numpy; see reference.py."""
        return max_roi_pool(X, rois, self.pooled_shape, self.spatial_scale)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield regions inside, outside, huge, and of images that are not there, and empty."""
        return max_roi_pool_cases()
