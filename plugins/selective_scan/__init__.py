"""SelectiveScan, the recurrence of Mamba, in CUDA C++."""

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
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    bfloat16,
    float16,
    float32,
    known,
)
from pluginkit.plugins.selective_scan.cases import selective_scan_cases
from pluginkit.plugins.selective_scan.launches import (
    CHOICES,
    DEFINES,
    MOST_STATES,
    STEP_CHOICES,
    WALK_CHOICES,
    launches_of,
    workspace_bytes,
)
from pluginkit.plugins.selective_scan.reference import selective_scan


class SelectiveScan(Plugin):
    """Walk through time with a state of each channel, which inputs choose to keep or to change.

    state[n, c, s] = exp(step * A[h, s]) * state[n, c, s] + step * u[n, c, t] * B[n, t, g, s];
    out[n, c, t] = (sum over s of C[n, t, g, s] * state[n, c, s] + D[h] * u[n, c, t]) * silu(z)

    The step is delta[n, h, t] + delta_bias[h], or the softplus of it; h is the head and g the group
    of channel c. In Mamba each channel is a head and there is one group. In Mamba 2 channels share
    heads, and A is one number of each. B and C are as projections give them, with time before
    states; u, delta and z have time last. States and sums are float32.

    Inputs:      u: (N, C, T) float32 | float16 | bfloat16, linear; any dimension dynamic.
                 delta: (N, H, T), dtype of u; H divides C. A: (H, S) or (H, 1) float32, S <= 128.
                 B, C: (N, T, G, S), dtype of u; G divides C. D: (H,) float32; absent: 0.
                 z: (N, C, T), dtype of u; absent: no factor. delta_bias: (H,) float32; absent: 0.
                 initial_state: (N, C, S) float32; absent: 0.
    Outputs:     out: (N, C, T), dtype of u. last_state: (N, C, S) float32.
    Attributes:  delta_softplus: bool, default False: whether the step is a softplus.
    Workspace:   up to 10 MB, for the states at the ends of parts of long times.
    Tolerance:   float32 5e-5, float16 4e-3, bfloat16 3.2e-2, relative to max(1, out).
    Errors:      PK124 inputs do not fit each other. shapes: heads, groups or states do not.
    Source:      selective_scan_fn and mamba_chunk_scan_combined of mamba_ssm.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 5e-5, float16: 4e-3, bfloat16: 3.2e-2}

    delta_softplus: bool = attribute(default=False, doc="whether the step is a softplus")

    u = Input("T", shape=("N", "C", "T"))
    delta = Input("T", shape=("N", "H", "T"))
    A = Input(float32, shape=("H", None))
    B = Input("T", shape=("N", "T", "G", "S"))
    C = Input("T", shape=("N", "T", "G", "S"))
    D = Input(float32, shape=("H",), optional=True)
    z = Input("T", shape=("N", "C", "T"), optional=True)
    delta_bias = Input(float32, shape=("H",), optional=True)
    initial_state = Input(float32, shape=("N", "C", "S"), optional=True)
    out = Output("T", like="u")
    last_state = Output(float32, shape=("N", "C", "S"))

    part_kernel = CudaKernel(
        "kernel.cu",
        "ends_of_parts<{T}, {LANES_STATES}, {IS_SCALAR}, {IS_COMPACT}>",
        WALK_CHOICES,
        defines=DEFINES,
    )
    kernel = CudaKernel(
        "kernel.cu",
        "selective_scan<{T}, {LANES_STATES}, {IS_SCALAR}, {IS_COMPACT}>",
        WALK_CHOICES,
        defines=DEFINES,
        overlaps=True,
    )
    lane_kernel = CudaKernel(
        "lanes.cu",
        "scan_in_lanes<{T}, {LANES_STATES}, {IS_SCALAR}, {IS_COMPACT}>",
        CHOICES,
        defines=DEFINES,
    )
    step_kernel = CudaKernel(
        "few_steps.cu",
        "few_steps<{T}, {LANES_STATES}, {IS_SCALAR}, {IS_COMPACT}, {STEPS}>",
        STEP_CHOICES,
        defines=DEFINES,
    )

    def check(self, u: TensorDesc, delta: TensorDesc, *others: TensorDesc) -> None:
        """Check that heads and groups divide the channels, and that A fits the states."""
        a, b = others[:2]
        channels, (_, _, groups, states) = known(u.shape[1]), map(known, b.shape)
        for name, count in (("heads", known(delta.shape[1])), ("groups", groups)):
            if count < 1 or channels % count:
                raise InputError(
                    f"{u} has {channels} channels and {count} {name}; expected a divisor.",
                    code="shapes",
                )
        if not 1 <= states <= MOST_STATES or a.shape[1] not in (1, states):
            raise InputError(
                f"{a} and {b}; expected 1 to {MOST_STATES} states, and one column or as many.",
                code="shapes",
            )

    def workspace_bytes(self, u: TensorDesc, *others: TensorDesc) -> Dim:
        """Return room for the states at the ends of parts of the time."""
        return workspace_bytes(u)

    def launches(self, *tensors: Any) -> Sequence[Launch]:
        """Return one launch, or two where blocks share time; launches.py says which."""
        return launches_of(self, *tensors)

    def reference(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        """Compute the same in numpy; see reference.py."""
        return selective_scan(arrays, self.delta_softplus)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield both forms, every optional input, odd sizes, long and empty ones."""
        return selective_scan_cases()
