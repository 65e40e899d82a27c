"""MaxPool with the indices of what it keeps, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    OFFSETS,
    Case,
    CudaKernel,
    Input,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    attribute,
    int8,
    int64,
)
from pluginkit.plugins.max_pool.launches import (
    COLUMNS,
    DEFINES,
    FEW_DEFINES,
    KEEP_DENORMALS,
    PACK_BYTES,
    ROWS,
    TEAMS,
    TILE_DEFINES,
    geometry_of,
    launch_of,
)
from pluginkit.plugins.max_pool.reference import max_pool
from pluginkit.plugins.max_pool.windows import (
    check_counts,
    check_padding,
    check_windows,
    windows_of,
)


class MaxPool(Plugin):
    """Return the greatest element of each window, and where in x it is.

    Y[n, c, i, j] = X.ravel()[Indices[n, c, i, j]] = the greatest of X[n, c] in window (i, j)

    Of equal elements the first one's index is returned, and NaN counts as greater than everything,
    as in numpy's argmax. Elements of padding are not in a window; a window that is all padding is
    -inf (int8: -128), and where it points to is open.

    Inputs:      X: (N, C, ...) of rank 3 to 5, float32 | float16 | bfloat16 | int8, linear; any
                 dimension dynamic.
    Outputs:     Y: (N, C, windows along each axis), dtype of X.
                 Indices: the same shape, int64: into all of X.
    Attributes:  kernel_shape: int[1 to 3], required, one for each axis but the first two.
                 strides, dilations: int[], > 0, default 1. pads: int[], >= 0, default 0: before
                 each axis, then after each.
                 auto_pad: NOTSET | VALID | SAME_UPPER | SAME_LOWER, default NOTSET.
                 ceil_mode: bool, default false. storage_order: 0 | 1, default 0; with 1 an index
                 counts along the first axis of a plane before the others.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK104 an attribute is out of its range. axes: attributes are for another rank.
                 windows: no window fits into an axis. size: an axis is empty or has more than 2^29
                 elements.
    Source:      ONNX MaxPool-22, without double and uint8; torch's max_pool2d(return_indices=True).
    """

    onnx_op = OnnxOp("MaxPool", since=22)
    types = {"T": (*FLOAT_TYPES, int8)}

    auto_pad: Literal["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"] = attribute(
        default="NOTSET", doc="how padding is chosen"
    )
    ceil_mode: bool = attribute(default=False, doc="whether a last window may exceed the padding")
    dilations: tuple[int, ...] | None = attribute(
        default=None, check=check_counts, doc="from an element of a window to the next"
    )
    kernel_shape: tuple[int, ...] = attribute(check=check_counts, doc="the elements of a window")
    pads: tuple[int, ...] | None = attribute(
        default=None, check=check_padding, doc="padding before each axis, then after each"
    )
    storage_order: int = attribute(
        default=0, choices=(0, 1), doc="1 for indices along the first axis before the others"
    )
    strides: tuple[int, ...] | None = attribute(
        default=None, check=check_counts, doc="from a window to the next"
    )

    X = Input("T", ranks=(3, 5))
    Y = Output("T")
    Indices = Output(int64)

    kernel = CudaKernel(
        "kernel.cu",
        "max_pool<{T}, {OFFSET}, {ROWS}, {COLUMNS}, {APART}, {FEW}, {storage_order}, {geometry}>",
        {
            "OFFSET": OFFSETS,
            "ROWS": ROWS,
            "COLUMNS": COLUMNS,
            "APART": (False, True),
            "FEW": (False, True),
        },
        options=KEEP_DENORMALS,
        defines=DEFINES,
    )
    few_kernel = CudaKernel(
        "few.cu",
        "max_pool_few<{T}, {OFFSET}, {storage_order}, {geometry}>",
        {"OFFSET": OFFSETS},
        options=KEEP_DENORMALS,
        defines=FEW_DEFINES,
    )
    large_kernel = CudaKernel(
        "kernel.cu",
        "max_pool_large<{T}, {OFFSET}, {storage_order}, {TEAM}, {PACK_BYTES}>",
        {"OFFSET": OFFSETS, "TEAM": TEAMS, "PACK_BYTES": PACK_BYTES},
        options=KEEP_DENORMALS,
        defines=DEFINES,
    )
    tile_kernel = CudaKernel(
        "tiles.cu",
        "max_pool_tiles<{T}, {OFFSET}, {storage_order}>",
        {"OFFSET": OFFSETS},
        options=KEEP_DENORMALS,
        defines=TILE_DEFINES,
    )

    @property
    def geometry(self) -> tuple[int, ...]:
        """The template arguments that say how windows lie."""
        return geometry_of(self)

    def steps(self, values: tuple[int, ...] | None) -> tuple[int, ...]:
        """Return strides or dilations, 1 where they are left out."""
        return values or (1,) * len(self.kernel_shape)

    def check(self, X: TensorDesc) -> None:  # noqa: N803  # ONNX's name
        """Check that attributes are for this rank, and that windows fit."""
        check_windows(self, X)

    def output_shapes(self, X: TensorDesc) -> tuple[Shape, Shape]:  # noqa: N803
        """Return the number of windows along each axis, twice."""
        shape = (*X.shape[:2], *(each.count for each in windows_of(self, X)))
        return shape, shape

    def launches(self, X: TensorDesc, Y: TensorDesc, Indices: TensorDesc) -> Launch:  # noqa: N803
        """Return one launch; see launches.py."""
        return launch_of(self, X, Y, Indices)

    def reference(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """Compute the same in numpy; see reference.py."""
        return max_pool(self, X)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield 1-D to 3-D windows, overlapping, dilated and padded ones, and what is empty."""
        rng = np.random.default_rng(22)
        cases: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
            ("halves", (2, 3, 10, 14), {"kernel_shape": (2, 2), "strides": (2, 2)}),
            (
                "overlapping",
                (1, 2, 9, 11),
                {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
            ),
            (
                "dilated",
                (1, 2, 11, 13),
                {"kernel_shape": (2, 3), "dilations": (3, 2), "strides": (2, 2), "ceil_mode": True},
            ),
            ("same", (2, 1, 7, 8), {"kernel_shape": (3, 2), "auto_pad": "SAME_LOWER"}),
            ("columns", (1, 2, 6, 7), {"kernel_shape": (2, 2), "storage_order": 1}),
            ("a_line", (2, 3, 20), {"kernel_shape": (3,), "strides": (3,)}),
            ("a_volume", (1, 2, 4, 5, 6), {"kernel_shape": (2, 2, 3), "storage_order": 1}),
            ("whole_planes", (2, 1, 13, 17), {"kernel_shape": (13, 12), "strides": (1, 4)}),
            ("one", (1, 1, 1, 1), {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}),
            ("no_images", (0, 2, 4, 4), {"kernel_shape": (2, 2)}),
        )
        for name, shape, attributes in cases:
            yield Case(name, [rng.normal(size=shape).astype(np.float32).round(1)], attributes)
