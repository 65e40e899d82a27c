"""AddRMSNorm: a sum and its RMSNorm in one pass over memory, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
)
from pluginkit.plugins._cuda.add_norm import (
    MAX_ROW,
    TOLERANCE,
    kernels_of,
    launches_of,
    workspace_bytes,
)


class AddRMSNorm(Plugin):
    """Add ``residual`` to ``x``, keep the sum, and normalize it by its root mean square.

    total = x + residual;  y = total / sqrt(mean(total^2) + epsilon) * weight

    The mean is over ``axis`` and all axes after it. The roundings are those of the models in
    transformers: the sum is rounded to T and then normalized in float32. With a weight of type T
    the normalized value is rounded to T before it is multiplied, as in Llama and in ONNX's
    RMSNormalization; with a weight of another type it is multiplied in float32, as in Gemma. y is
    rounded to T last.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16, linear; any dimension dynamic.
                 residual: the shape and dtype of x.
                 weight: x.shape[axis:], float32 | float16 | bfloat16, linear.
    Outputs:     y: the shape and dtype of x.
                 total: the same; in the memory of residual where TensorRT offers that.
    Attributes:  epsilon: float, >= 0, default 1e-5.
                 axis: int, -rank to rank - 1, default -1.
    Workspace:   12672 bytes if a row has 16 KiB, which blocks share if rows are few.
    Tolerance:   float32 2e-6, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y): one rounding of
                 y, or of what the weight multiplies, may differ.
    Errors:      PK104 epsilon is negative. PK124 residual has another shape than x. PK126 axis is
                 out of range. shapes: weight does not fit x. size: a row has more than 2^30
                 elements.
    Source:      ONNX Add-14 and RMSNormalization-23; without double.
    """

    types = {"T": FLOAT_TYPES, "W": FLOAT_TYPES}
    tolerance = TOLERANCE

    epsilon: float = attribute(
        default=1e-5,
        check=lambda value: None if value >= 0 else "expected 0 or more",
        doc="added to the mean square",
    )
    axis: int = attribute(default=-1, doc="the first of the axes that are normalized")

    x = Input("T", shape=("*S",), ranks=(1, 8))
    residual = Input("T", shape=("*S",))
    weight = Input("W", ranks=(1, 8))
    y = Output("T", like="x")
    total = Output("T", aliases="residual")

    kernel, lane_kernel, short_kernel, add_kernel, scale_kernel = kernels_of(is_centred=False)

    def check(self, x: TensorDesc, residual: TensorDesc, weight: TensorDesc) -> None:
        """Check that weight has the shape of a row."""
        if weight.size > MAX_ROW:
            raise InputError(f"{weight}; expected rows of up to 2^30 elements.", code="size")
        if weight.shape != x.shape[x.axis(self.axis) :]:
            raise InputError(f"{x}, {weight}; expected a weight of x.shape[axis:].", code="shapes")

    def workspace_bytes(self, *inputs: Any) -> int:
        """Return room for the sums of parts of long rows."""
        return workspace_bytes(*inputs)

    def launches(
        self, x: TensorDesc, residual: TensorDesc, weight: TensorDesc, *others: Any
    ) -> Sequence[Launch]:
        """Return a launch, or two for parts of rows; add_norm.py gives rows to threads."""
        return launches_of(self, x, residual, weight, None, *others)

    def reference(
        self, x: np.ndarray, residual: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute in float32, and round where the kernel rounds."""
        axes = tuple(range(x.ndim - weight.ndim, x.ndim))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            total = (x.astype(np.float32) + residual.astype(np.float32)).astype(x.dtype)
            wide = total.astype(np.float32)
            square = np.mean(wide * wide, axes, np.float64, keepdims=True) if x.size else 0
            y = wide / np.sqrt(np.float32(square) + np.float32(self.epsilon))
            if weight.dtype == x.dtype:
                y = y.astype(x.dtype).astype(np.float32)
            y = y * weight.astype(np.float32)
            return y.astype(x.dtype), total

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield rows for a few threads, for a block and beyond registers; odd and empty ones."""
        rng = np.random.default_rng(23)
        for name, shape, attributes in (
            ("hidden", (2, 5, 64), {}),
            ("vector", (13,), {}),
            ("odd", (7, 33), {"epsilon": 1e-6}),
            ("pairs", (3, 5, 34), {}),
            ("two_axes", (6, 3, 8), {"axis": 1}),
            ("all_axes", (3, 4, 5), {"axis": 0}),
            ("size_one", (1, 1), {}),
            ("no_epsilon", (4, 8), {"epsilon": 0.0}),
            ("llama", (3, 4096), {}),
            ("many_rows", (130, 5, 24), {"axis": -1}),
            ("odd_block", (2, 5003), {}),
            ("beyond_registers", (2, 70008), {}),
            ("odd_beyond_registers", (1, 40_001), {}),
            ("no_rows", (0, 6), {}),
            ("empty_rows", (3, 0), {}),
        ):
            axis = int(attributes.get("axis", -1)) % len(shape)
            shapes = shape, shape, shape[axis:]
            arrays = [rng.uniform(-2, 2, each).astype(np.float32) for each in shapes]
            yield Case(name, arrays, attributes)
