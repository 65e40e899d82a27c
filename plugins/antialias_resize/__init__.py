"""AntialiasResize, images resized with a filter as wide as what it shrinks, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Output,
    Plugin,
    Shape,
    ShapeInput,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
)
from pluginkit.plugins.antialias_resize.axes import (
    Coordinates,
    Filter,
    check_axes,
    check_scales,
)
from pluginkit.plugins.antialias_resize.cases import antialias_resize_cases
from pluginkit.plugins.antialias_resize.launches import (
    LINE_DEFINES,
    PLANE_DEFINES,
    SMALL_DEFINES,
    STAGES,
    VECTORS,
    steps_of,
    workspace_of,
)
from pluginkit.plugins.antialias_resize.reference import antialias_resize

_STAGES = {"STAGE": STAGES}


class AntialiasResize(Plugin):
    """Resize two axes of x; where they shrink, an element is a mean of all that it replaces.

    y[..., i, j] = sum over k, l of u(i, k) * v(j, l) * x[..., k, l], with weights of sum 1

    Along an axis that shrinks, the filter, linear or cubic, is widened by the factor by which it
    shrinks. An axis whose size stays is copied. Coordinates are computed in double, weights and
    sums in float32.

    Inputs:      x: rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension dynamic.
                 sizes: int64[2], a shape input: the sizes of both axes of y.
    Outputs:     y: x's shape with the sizes at the axes, dtype of x.
    Attributes:  axes: int[2], default (-2, -1), ascending.
                 mode: linear | cubic, default linear. cubic_coeff_a: float, default -0.75.
                 coordinate_transformation_mode: half_pixel | half_pixel_symmetric |
                 pytorch_half_pixel | align_corners | asymmetric | tf_crop_and_resize, default
                 half_pixel.
                 exclude_outside: bool, default false: whether elements beyond the axis count
                 nothing, as in torch and ONNX Runtime; else they are the outermost one.
                 extrapolation_value: float, default 0: y outside x, for tf_crop_and_resize.
                 scales: float[2] | None, > 0, default None: the ratio of sizes.
                 roi: float[4], default (0, 0, 1, 1): where the region of tf_crop_and_resize starts
                 along both axes, and where it ends, as parts of the axes.
    Workspace:   4 bytes for each element of x with one axis resized; not used where both axes are
                 the last ones and shrink by 8 at most.
    Tolerance:   float32 2e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y).
    Errors:      PK104 an attribute is out of its range. PK126 x has no such axis. axes: they are
                 not in order. sizes: a size is negative, or is not that of the scales. size: an
                 axis is empty or has more than 2^29 elements.
    Source:      ONNX Resize-19 with antialias; torch's interpolate(antialias=True).
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 2e-5, float16: 2e-3, bfloat16: 1.6e-2}

    axes: tuple[int, int] = attribute(default=(-2, -1), doc="the resized axes, in order")
    mode: Filter = attribute(default="linear", doc="the filter")
    coordinate_transformation_mode: Coordinates = attribute(
        default="half_pixel", doc="where an element of y lies in x"
    )
    cubic_coeff_a: float = attribute(default=-0.75, doc="the coefficient of the cubic filter")
    exclude_outside: bool = attribute(default=False, doc="whether what is beyond x counts nothing")
    extrapolation_value: float = attribute(default=0.0, doc="y outside the region, for crops")
    scales: tuple[float, float] | None = attribute(
        default=None, check=check_scales, doc="ratios of lengths; None for those of the sizes"
    )
    roi: tuple[float, float, float, float] = attribute(
        default=(0.0, 0.0, 1.0, 1.0), doc="the region of crops: both starts, both ends"
    )

    x = Input("T", ranks=(2, 8))
    sizes = ShapeInput(length=2)
    y = Output("T")

    plane_kernel = CudaKernel(
        "plane.cu",
        "resize_plane<{T}, {STAGE}, pluginkit::Filter::{mode}, {VECTOR}, {SEVERAL}>",
        {**_STAGES, "VECTOR": VECTORS, "SEVERAL": (False, True)},
        defines=PLANE_DEFINES,
    )
    small_kernel = CudaKernel(
        "small.cu",
        "resize_small<{T}, {STAGE}, pluginkit::Filter::{mode}>",
        _STAGES,
        defines=SMALL_DEFINES,
    )
    column_kernel = CudaKernel(
        "lines.cu",
        "resize_columns<{T}, {STAGE}, pluginkit::Filter::{mode}, {SHARED}, {ADJACENT}>",
        {**_STAGES, "SHARED": (False, True), "ADJACENT": (False, True)},
        defines=LINE_DEFINES,
    )
    row_kernel = CudaKernel(
        "lines.cu",
        "resize_rows<{T}, {STAGE}, pluginkit::Filter::{mode}>",
        _STAGES,
        defines=LINE_DEFINES,
    )

    def check(self, x: TensorDesc, sizes: TensorDesc) -> None:
        """Check that x has the axes, and that sizes, scales and what the kernels count agree."""
        check_axes(self, x, sizes)

    def output_shapes(self, x: TensorDesc, sizes: TensorDesc) -> Shape:
        """Return the shape of x with both sizes."""
        shape = list(x.shape)
        for axis, size in zip(self.axes, sizes.values, strict=True):
            shape[x.axis(axis)] = size
        return tuple(shape)

    def workspace_bytes(self, x: TensorDesc, sizes: TensorDesc) -> Dim:
        """Return room for x with one axis resized."""
        return workspace_of(self, x, sizes)

    def launches(
        self, x: TensorDesc, sizes: TensorDesc, y: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """Return one launch for both axes, or one for each; see launches.py."""
        return steps_of(self, x, y, workspace)

    def reference(self, x: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return antialias_resize(self, x, sizes)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield every mode, axes at the end, inside and apart, much smaller, larger, and empty."""
        return antialias_resize_cases()
