"""Dft, the discrete Fourier transform of any length, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    Dim,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
    known,
)
from pluginkit.plugins.dft.cases import dft_cases
from pluginkit.plugins.dft.launches import kernel_of, launches_of, shape_arguments, workspace_of
from pluginkit.plugins.dft.plan import LONGEST, plan_of
from pluginkit.plugins.dft.reference import dft


class Dft(Plugin):
    """Transform numbers along an axis, by fast Fourier transforms of any length.

    y[k] = sum of x[j] * exp(-2 pi i j k / length), the inverse with + and divided by the length

    Lengths without prime factors above 31 take one launch up to 8192 points and mostly two above.
    The others take one up to about 2048 points and two above, if they have small factors, or else
    one up to 4096 points and three above, and work on two to three times as many points. Real
    numbers of an even length are transformed in pairs. Kernels are compiled for the length.
    Computed in float32. If a number of a transform is not finite, all its results are NaN.

    Inputs:      x: rank 2 to 8, float32 | float16 | bfloat16, linear; any dimension dynamic, but
                 the last one is 1 for real and 2 for complex numbers. Along the axis x is cut off
                 or padded with zeros.
    Outputs:     y: x's shape with the length along the axis and 2 at the end; with ``onesided`` the
                 axis has length // 2 + 1 numbers. With both ``inverse`` and ``onesided`` x is such
                 a half, and y is real, with 1 at the end.
    Attributes:  length: int, 1 to 2097152, required. axis: int, default -2; not the last one.
                 inverse: bool, default false. onesided: bool, default false.
    Workspace:   up to 64 bytes for each point of the transforms.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y).
    Errors:      PK104 length is out of its range. PK126 x has no such axis. axis: it is the last
                 one. parts: the last dimension is not 1 or 2.
    Source:      ONNX DFT-20 with the length and the axis stored in the model; numpy.fft.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 1.6e-2}

    length: int = attribute(
        check=lambda value: None if 1 <= value <= LONGEST else f"expected 1 to {LONGEST}",
        doc="the points of the transform",
    )
    axis: int = attribute(default=-2, doc="the transformed axis")
    inverse: bool = attribute(default=False, doc="whether it is the inverse transform")
    onesided: bool = attribute(default=False, doc="whether half of a spectrum is written, or read")

    x = Input("T", ranks=(2, 8))
    y = Output("T")

    whole_kernel = kernel_of("whole")
    few_kernel = kernel_of("few")
    halves_kernel = kernel_of("halves")
    first_kernel = kernel_of("first")
    second_kernel = kernel_of("second")
    prime_kernel = kernel_of("prime")

    whole = shape_arguments("whole")
    few = shape_arguments("few")
    halves = shape_arguments("halves")
    first = shape_arguments("first")
    second = shape_arguments("second")
    prime = shape_arguments("prime")
    rows = property(lambda self: plan_of(self.length).rows)

    def check(self, x: TensorDesc) -> None:
        """Check the axis, and that the last dimension holds real or complex numbers."""
        if x.axis(self.axis) == x.ndim - 1:
            raise InputError(
                f"{x}, axis {self.axis}; expected an axis of x before the last one.", code="axis"
            )
        if known(x.shape[-1]) not in (1, 2):
            raise InputError(f"{x}; expected 1 or 2 as its last dimension.", code="parts")

    def output_shapes(self, x: TensorDesc) -> tuple[Dim, ...]:
        """Return x's shape with the transformed axis and the parts replaced."""
        axis = x.axis(self.axis)
        is_real = self.inverse and self.onesided
        made = self.length // 2 + 1 if self.onesided and not self.inverse else self.length
        return *x.shape[:axis], made, *x.shape[axis + 1 : -1], 1 if is_real else 2

    def workspace_bytes(self, x: TensorDesc) -> Dim:
        """Return room for what passes give each other."""
        return workspace_of(self, x)

    def launches(self, x: TensorDesc, y: TensorDesc, workspace: Workspace) -> Sequence[Launch]:
        """Return the launches of all passes; see plan.py."""
        return list(launches_of(self, x, y, workspace))

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return dft(x, self.axis, self.length, self.inverse, self.onesided)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield each direction and side, lengths of every kind, cut off and padded, and empty."""
        return dft_cases()
