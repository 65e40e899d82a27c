"""AddLayerNorm: a sum and its layer normalization in one pass over memory, in CUDA C++."""

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
    float32,
)
from pluginkit.plugins._cuda.add_norm import (
    MAX_ROW,
    TOLERANCE,
    kernels_of,
    launches_of,
    workspace_bytes,
)

#: Up to so many vectors of a row have a thread each.
_MOST_ALONE = 255


class AddLayerNorm(Plugin):
    """Add ``residual`` to ``x``, keep the sum, and normalize it by its mean and its variance.

    total = x + residual;  y = (total - mean) / sqrt(variance + epsilon) * weight + bias

    Mean and variance are over ``axis`` and all axes after it. The sum is rounded to T; from then on
    everything is float32, as in PyTorch and ONNX Runtime, and y is rounded to T last. The variance
    is that of the differences from the mean, so that a large mean costs no digits.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16, linear; any dimension dynamic.
                 residual: the shape and dtype of x.
                 weight: x.shape[axis:], float32 | float16 | bfloat16, linear.
                 bias: the shape and dtype of weight; absent: 0.
    Outputs:     y: the shape and dtype of x.
                 total: the same; in the memory of residual where TensorRT offers that.
    Attributes:  epsilon: float, >= 0, default 1e-5.
                 axis: int, -rank to rank - 1, default -1.
    Workspace:   12672 bytes if a row has 16 KiB, which blocks share if rows are few.
    Tolerance:   float32 5e-6, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y).
    Errors:      PK104 epsilon is negative. PK124 residual has another shape than x. PK126 axis is
                 out of range. shapes: weight or bias does not fit x. size: a row has more than 2^30
                 elements.
    Source:      ONNX Add-14 and LayerNormalization-17; without double, mean and deviation.
    """

    types = {"T": FLOAT_TYPES, "W": FLOAT_TYPES}
    tolerance = {**TOLERANCE, float32: 5e-6}

    epsilon: float = attribute(
        default=1e-5,
        check=lambda value: None if value >= 0 else "expected 0 or more",
        doc="added to the variance",
    )
    axis: int = attribute(default=-1, doc="the first of the axes that are normalized")

    x = Input("T", shape=("*S",), ranks=(1, 8))
    residual = Input("T", shape=("*S",))
    weight = Input("W", ranks=(1, 8))
    bias = Input("W", ranks=(1, 8), optional=True)
    y = Output("T", like="x")
    total = Output("T", aliases="residual")

    kernel, lane_kernel, short_kernel, add_kernel, scale_kernel = kernels_of(is_centred=True)

    def check(
        self, x: TensorDesc, residual: TensorDesc, weight: TensorDesc, bias: TensorDesc | None
    ) -> None:
        """Check that weight and bias have the shape of a row."""
        row = x.shape[x.axis(self.axis) :]
        for each in (weight, bias) if bias is not None else (weight,):
            if each.size > MAX_ROW:
                raise InputError(f"{each}; expected rows of up to 2^30 elements.", code="size")
            if each.shape != row:
                raise InputError(f"{x}, {each}; expected x.shape[axis:].", code="shapes")

    def workspace_bytes(self, *inputs: Any) -> int:
        """Return room for the moments of parts of long rows."""
        return workspace_bytes(*inputs)

    def launches(self, *tensors: Any) -> Sequence[Launch]:
        """Return a launch, or two for parts of rows; add_norm.py gives rows to threads."""
        return launches_of(self, *tensors, most_alone=_MOST_ALONE)

    def reference(
        self, x: np.ndarray, residual: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute in float64 from the rounded sum."""
        axes = tuple(range(x.ndim - weight.ndim, x.ndim))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            total = (x.astype(np.float32) + residual.astype(np.float32)).astype(x.dtype)
            wide = total.astype(np.float64)
            wide = wide - (wide.mean(axes, keepdims=True) if x.size else 0)
            variance = np.mean(wide * wide, axes, keepdims=True) if x.size else 0
            y = wide / np.sqrt(variance + self.epsilon) * weight.astype(np.float64)
            if bias is not None:
                y = y + bias.astype(np.float64)
            return y.astype(x.dtype), total

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield rows for a few threads, for a block and beyond registers; odd and empty ones."""
        rng = np.random.default_rng(24)
        for name, shape, attributes, has_bias in (
            ("hidden", (2, 5, 64), {}, True),
            ("no_bias", (3, 5, 34), {}, False),
            ("odd", (7, 33), {"epsilon": 1e-12}, True),
            ("two_axes", (6, 3, 8), {"axis": 1}, True),
            ("bert", (3, 768), {}, True),
            ("many_rows", (130, 5, 24), {}, False),
            ("rows_of_warps", (129, 264), {}, True),
            ("odd_block", (2, 5003), {}, True),
            ("beyond_registers", (1, 70008), {}, True),
            ("odd_beyond_registers", (1, 40_001), {}, False),
            ("no_rows", (0, 6), {}, True),
            ("empty_rows", (3, 0), {}, True),
        ):
            axis = int(attributes.get("axis", -1)) % len(shape)
            shapes = shape, shape, shape[axis:], shape[axis:]
            arrays = [rng.uniform(-2, 2, each).astype(np.float32) for each in shapes]
            yield Case(name, arrays if has_bias else [*arrays[:3], None], attributes)
