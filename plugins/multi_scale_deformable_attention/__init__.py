"""MultiScaleDeformableAttention, the attention of Deformable DETR, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    bfloat16,
    float16,
    float32,
    int32,
    int64,
    known,
)
from pluginkit.plugins.multi_scale_deformable_attention.cases import deformable_attention_cases
from pluginkit.plugins.multi_scale_deformable_attention.launches import (
    DEFINES,
    KINDS,
    LANES,
    MOST_HEADS,
    MOST_LEVELS,
    SHARES,
    launch_of,
)
from pluginkit.plugins.multi_scale_deformable_attention.reference import deformable_attention


class MultiScaleDeformableAttention(Plugin):
    """Sum pixels of several feature maps at locations that a query chooses, times its weights.

    output[n, q, m * D + d] = sum over level, point of attn_weight[n, q, m, level, point] *
    value[n, pixels of the level, m, d] at sampling_loc[n, q, m, level, point]

    Locations are x and y, from 0 to 1 over the width and height of a level. A pixel is interpolated
    bilinearly between the centres of four, of which those outside the level count as 0. So do a
    location that is NaN, and a level that does not lie in value. Positions and sums are computed in
    float32.

    Inputs:      value: (N, S, M, D) float32 | float16 | bfloat16, linear: S pixels of all levels, M
                 heads, D channels; any dimension dynamic.
                 spatial_shapes: (L, 2) int32 | int64: the height and width of each level.
                 level_start_index: (L,), type of spatial_shapes: the first pixel of each level.
                 sampling_loc: (N, Q, M, L, P, 2), dtype of value. attn_weight: (N, Q, M, L, P).
    Outputs:     output: (N, Q, M * D), dtype of value.
    Workspace:   none.
    Tolerance:   float32 2e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, output).
    Errors:      PK124 inputs do not fit each other. size: an item of value has 2^31 elements, L * P
                 is 2^20, L above 64, or M above 65535.
    Source:      ms_deform_attn of Deformable DETR, MultiscaleDeformableAttnPlugin_TRT of TensorRT,
                 MultiScaleDeformableAttention of mmcv; without its im2col_step.
    """

    types = {"T": FLOAT_TYPES, "S": (int64, int32)}
    tolerance = {float32: 2e-5, float16: 2e-3, bfloat16: 1.6e-2}

    value = Input("T", shape=("N", "S", "M", "D"))
    spatial_shapes = Input("S", shape=("L", 2))
    level_start_index = Input("S", shape=("L",))
    sampling_loc = Input("T", shape=("N", "Q", "M", "L", "P", 2))
    attn_weight = Input("T", shape=("N", "Q", "M", "L", "P"))
    output = Output("T")

    kernel = CudaKernel(
        "kernel.cu",
        "deformable_attention<{T}, {S}, {IS_WIDE}, {LANES}, {SHARES}>",
        {"IS_WIDE": (True, False), "LANES": LANES, "SHARES": SHARES},
        defines=DEFINES,
    )
    few = CudaKernel(
        "few.cu",
        "attention_of_few<{T}, {S}, {KIND}>",
        {"KIND": KINDS},
        defines=DEFINES,
    )

    def check(self, value: TensorDesc, *others: TensorDesc) -> None:
        """Check that a launch holds the sizes."""
        _, pixels, heads, channels = map(known, value.shape)
        if pixels * heads * channels >= 2**31 or heads > MOST_HEADS:
            raise InputError(
                f"{value}; expected fewer than 2^31 elements of an item, and up to {MOST_HEADS} "
                "heads.",
                code="size",
            )
        levels, points = map(known, others[3].shape[3:])
        if levels > MOST_LEVELS or levels * points >= 2**20:
            raise InputError(
                f"{others[3]}; expected up to {MOST_LEVELS} levels, and fewer than 2^20 points.",
                code="size",
            )

    def output_shapes(self, value: TensorDesc, *others: TensorDesc) -> Shape:
        """Return the channels of all heads for each query."""
        return value.shape[0], others[2].shape[1], value.shape[2] * value.shape[3]

    def launches(self, *tensors: Any) -> Launch:
        """Return one launch; launches.py gives heads and queries to blocks."""
        return launch_of(self, *tensors)

    def reference(self, *arrays: Any) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return deformable_attention(*arrays)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield levels of every size, odd and many channels, locations outside, and empty."""
        return deformable_attention_cases()
