"""DeformConv, a convolution whose taps are moved by an input, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    bfloat16,
    float16,
    float32,
)
from pluginkit.plugins.deform_conv.arranged import CHUNK_DEFINES
from pluginkit.plugins.deform_conv.cases import deform_conv_cases
from pluginkit.plugins.deform_conv.few import FEW_MAPS, SHARES
from pluginkit.plugins.deform_conv.launches import CHANNELS, DEFINES, MAPS, launches_of
from pluginkit.plugins.deform_conv.product import (
    NARROW_ROWS,
    PRODUCT_ROWS,
    product_bound,
    product_bytes,
)
from pluginkit.plugins.deform_conv.reference import deform_conv
from pluginkit.plugins.deform_conv.shapes import check_shapes, positive


class DeformConv(Plugin):
    """Convolve images with taps that an input moves, separately for every output pixel.

    Y[n, m, i, j] = B[m] + sum over c, tap of W[m, c, tap] * mask[n, tap, i, j] * X[n, c] at
    (i, j) * strides - pads + tap * dilations + offset[n, tap, i, j]

    X is interpolated bilinearly between the centres of four pixels. Pixels outside count as 0, and
    so does a position that is NaN, or a pixel or more outside. Positions, samples and sums are
    computed in float32, and the result is rounded once. In 16 bits samples are rounded, too, where
    tensor cores multiply them: if there is much to do, in groups, or adjacent ones, with 5 channels
    or more that offsets move together, unless each channel is a group. In float32 tensor cores
    multiply both parts of each number that tf32 holds, which is as exact as float32.

    Inputs:      X: (N, C, H, W) float32 | float16 | bfloat16, linear; any dimension dynamic.
                 W: (M, C / group, kernel height, kernel width), dtype of X, linear.
                 offset: (N, offset_group * taps * 2, output height, output width), dtype of X:
                 along y and x for each tap.
                 B: (M,), dtype of X; absent: 0.
                 mask: (N, offset_group * taps, output height, output width), dtype of X; absent: 1.
    Outputs:     Y: (N, M, output height, output width), dtype of X.
    Attributes:  strides, dilations: int[2], > 0, default 1. pads: int[4], >= 0, default 0: before y
                 and x, after y and x. kernel_shape: int[2] | None: that of W.
                 group: int, > 0, default 1: parts of C and M that are convolved by themselves.
                 offset_group: int, > 0, default 1: parts of C with offsets and a mask of their own.
    Workspace:   copies of X and W, with zeros where fewer than 64 bytes of channels share their
                 offsets or groups; up to 9 MB of sums.
    Tolerance:   float32 2e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, Y).
    Errors:      PK104 an attribute is out of range. PK124 N, M or the output's size differ.
                 shapes: channels, groups or sizes do not fit each other, or there is no tap.
                 size: an image has 2^31 pixels or more, or an axis of it more than
                 2^24.
    Source:      ONNX DeformConv-22, for images, without double.
    """

    onnx_op = OnnxOp("DeformConv", since=22)
    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 2e-5, float16: 2e-3, bfloat16: 1.6e-2}

    dilations: tuple[int, int] = attribute(default=(1, 1), check=positive, doc="between taps")
    group: int = attribute(default=1, check=positive, doc="parts of the channels")
    kernel_shape: tuple[int, int] | None = attribute(
        default=None, check=positive, doc="taps along y and x"
    )
    offset_group: int = attribute(
        default=1, check=positive, doc="parts of the channels of X with offsets of their own"
    )
    pads: tuple[int, int, int, int] = attribute(
        default=(0, 0, 0, 0),
        check=lambda value: None if min(value) >= 0 else "expected 0 or more",
        doc="pixels before y and x, after y and x",
    )
    strides: tuple[int, int] = attribute(default=(1, 1), check=positive, doc="between outputs")

    X = Input("T", shape=("N", "C", "H", "W"))
    W = Input("T", shape=("M", None, None, None))
    offset = Input("T", shape=("N", None, "OH", "OW"))
    B = Input("T", shape=("M",), optional=True)
    mask = Input("T", shape=("N", None, "OH", "OW"), optional=True)
    Y = Output("T", shape=("N", "M", "OH", "OW"))

    kernel = CudaKernel("kernel.cu", "deform_conv<{T}, {MAPS}>", {"MAPS": MAPS}, defines=DEFINES)
    separate = CudaKernel(
        "kernel.cu", "deform_separate<{T}, {CHANNELS}>", {"CHANNELS": CHANNELS}, defines=DEFINES
    )
    few = CudaKernel(
        "few.cu",
        "deform_few<{T}, {FEW_MAPS}, {SHARES}>",
        {"FEW_MAPS": FEW_MAPS, "SHARES": SHARES},
        defines=DEFINES,
    )
    arrange = CudaKernel("arrange.cu", "arrange<{T}>", defines=CHUNK_DEFINES)
    product = CudaKernel(
        "product.cu",
        "deform_product<{T}, {ROWS}>",
        {"ROWS": PRODUCT_ROWS},
        defines=CHUNK_DEFINES,
    )
    narrow = CudaKernel(
        "narrow.cu",
        "deform_narrow<{T}, {ROWS}>",
        {"ROWS": NARROW_ROWS},
        defines=CHUNK_DEFINES,
    )
    depthwise = CudaKernel("depthwise.cu", "deform_depthwise<{T}>", defines=CHUNK_DEFINES)
    add_slices = CudaKernel("product.cu", "add_slices<{T}>", defines=CHUNK_DEFINES)

    def check(self, *tensors: Any) -> None:
        """Check that the channels, the groups and the output's size fit; see shapes.py."""
        check_shapes(self, *tensors)

    def workspace_bytes(self, x: TensorDesc, w: TensorDesc, offset: TensorDesc, *_: Any) -> int:
        """Return room for the copies of X and W that are multiplied; see product.py."""
        return product_bytes(self, x, w, offset)

    def workspace_bound(self, x: TensorDesc, w: TensorDesc, *_: Any) -> Dim:
        """Return room for the largest copies."""
        return product_bound(self, x, w)

    def launches(self, *tensors: Any) -> Sequence[Launch]:
        """Return the launches; launches.py gives tiles of the output to blocks."""
        return launches_of(self, *tensors)

    def reference(self, *arrays: Any) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return deform_conv(self, *arrays)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield strides, pads, dilations, groups of both kinds, and absent and empty inputs."""
        return deform_conv_cases()
