"""CircPad: wrap padding of the last axes, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    Copy,
    CudaKernel,
    Dim,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
)
from pluginkit.plugins.circ_pad.launches import BYTES, DEFINES, joined, launch_of


def _complaint(pads: tuple[int, ...]) -> str | None:
    if not pads or len(pads) % 2:
        return "expected a begin and an end for each of the last axes, an even number of pads"
    if min(pads) < 0:
        return "expected no negative pad"
    return None


class CircPad(Plugin):
    """Pad the last axes of ``x`` with wrapped values.

    y[..., i, j] = x[..., (i - begin_i) mod H, (j - begin_j) mod W]

    A pad may exceed its axis: the values then repeat.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
    Outputs:     y: x's shape, each of the last k axes larger by its begin and end; dtype of x.
    Attributes:  pads: int[2 k], >= 0, required; the begins of the last k axes, then their ends,
                 which is ONNX Pad's order.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK104 pads is not int[2 k] or is negative. rank: x has fewer than k axes.
                 empty: an axis to pad is empty.
    Source:      numpy.pad(mode="wrap"); ONNX Pad-19, mode="wrap", which takes its pads as an input.
    """

    types = {"T": OUTPUT_TYPES}

    pads: tuple[int, ...] = attribute(check=_complaint, doc="begins of the last axes, then ends")

    x = Input("T", ranks=(1, 8))
    y = Output("T")

    kernel = CudaKernel(
        "kernel.cu",
        "circ_pad<{T}, {OFFSET}, {kernel_axes}, {BYTES}>",
        {"OFFSET": OFFSETS, "BYTES": BYTES},
        defines=DEFINES,
    )

    @property
    def axes(self) -> int:
        """The last axes that have pads, of which some are 0."""
        return len(self.pads) // 2

    @property
    def each_pads(self) -> list[tuple[int, int]]:
        """The begin and the end of each of the last axes."""
        return list(zip(self.pads[: self.axes], self.pads[self.axes :], strict=True))

    @property
    def kernel_axes(self) -> int:
        """The axes of the kernel."""
        return len(joined(self.each_pads))

    def check(self, x: TensorDesc) -> None:
        """Check that x has an axis for every pad, and that no axis to pad is empty."""
        if x.ndim < self.axes:
            raise InputError(f"{x} has {x.ndim} axes; pads is for {self.axes}.", code="rank")
        for size, pad in zip(x.shape[-self.axes :], self.each_pads, strict=True):
            if any(pad) and isinstance(size, int) and size == 0:
                raise InputError(f"{x} has an empty axis, with nothing to wrap.", code="empty")

    def output_shapes(self, x: TensorDesc) -> tuple[Dim, ...]:
        """Return x's shape with each padded axis longer by its begin and its end."""
        padded = zip(x.shape[-self.axes :], self.each_pads, strict=True)
        return *x.shape[: -self.axes], *(size + sum(pad) for size, pad in padded)

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch | Copy:
        """Return one launch; see launches.py."""
        return launch_of(self, x, y)

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        unpadded = [(0, 0)] * (x.ndim - self.axes)
        return np.pad(x, unpadded + self.each_pads, mode="wrap")

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield odd sizes, one to four padded axes, pads beyond an axis, empty and size-1 axes."""
        rng = np.random.default_rng(20)
        for name, shape, pads in (
            ("image", (2, 3, 16, 20), (1, 2, 3, 4)),
            ("vector", (7,), (3, 2)),
            ("no_pads", (3, 5), (0, 0, 0, 0)),
            ("one_side", (2, 9), (4, 0)),
            ("beyond_axis", (2, 3, 5), (7, 11, 4, 23)),
            ("size_one", (1, 1, 1), (2, 3, 1, 0)),
            ("odd", (3, 17, 31), (5, 1, 0, 13)),
            ("all_axes", (2, 3, 4, 5), (1, 0, 2, 1, 0, 2, 1, 3)),
            ("rank_eight", (1, 2, 1, 3, 1, 2, 3, 5), (1, 2, 2, 1)),
            ("empty_batch", (0, 3, 4), (1, 1)),
            ("empty_axis_unpadded", (2, 0, 4), (0, 1, 0, 1)),
            ("many_blocks", (5, 67, 129), (2, 3, 4, 5)),
        ):
            yield Case(name, [(rng.normal(size=shape) * 8).astype(np.float32)], {"pads": pads})
