"""KthValue, the elements of rows that have certain ranks, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Output,
    Plugin,
    Shape,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    int64,
)
from pluginkit.plugins.kth_value.launches import DEFINES, SHAPES, steps_of, workspace_bytes
from pluginkit.plugins.kth_value.positions import check_positions, result_shape


class KthValue(Plugin):
    """Return the elements of each row that have certain ranks, without sorting the row.

    y[..., j, ...] = sort(x)[..., positions[..., j, ...], ...] along the axis, with ``largest`` in
    descending order

    NaN counts as larger than everything. A negative position counts from the end; one beyond the
    row is that of the row's first or last element.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear; any
                 dimension dynamic.
                 positions: int64, (M,), for every row, or the shape of x with M along the axis.
    Outputs:     y: the shape of x with M along the axis, dtype of x.
    Attributes:  axis: int, -rank to rank - 1, default -1. largest: bool, default false.
    Workspace:   8208 bytes for each of up to 264 results.     Tolerance: exact.
    Errors:      PK126 x has no such axis. positions: their shape is another. size: a row has no
                 elements, or more than 2^31 - 1.
    Source:      torch.kthvalue and numpy.partition, without double and uint8; what
                 torch.quantile and torch.median select.
    """

    types = {"T": OUTPUT_TYPES}

    axis: int = attribute(default=-1, doc="the axis of the rows")
    largest: bool = attribute(default=False, doc="whether positions begin at the largest element")

    x = Input("T", ranks=(1, 8))
    positions = Input(int64, ranks=(1, 8))
    y = Output("T")

    short_kernel = CudaKernel(
        "kernel.cu", "kth_of_short_rows<{T}, {SHAPE}>", {"SHAPE": SHAPES}, defines=DEFINES
    )
    row_kernel = CudaKernel("kernel.cu", "kth_of_rows<{T}>", defines=DEFINES)
    segment_kernel = CudaKernel("kernel.cu", "kth_of_segments<{T}>", defines=DEFINES)

    def check(self, x: TensorDesc, positions: TensorDesc) -> None:
        """Check that positions are those of all rows or of each, and that rows have elements."""
        check_positions(self, x, positions)

    def output_shapes(self, x: TensorDesc, positions: TensorDesc) -> Shape:
        """Return the shape of x with the number of positions along the axis."""
        return result_shape(self, x, positions)

    def workspace_bytes(self, x: TensorDesc, positions: TensorDesc) -> Dim:
        """Return room for the digits and histograms of results whose rows are split."""
        return workspace_bytes(self, x, positions)

    def launches(
        self, x: TensorDesc, positions: TensorDesc, y: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """Return one launch; where few results have long rows, one for each digit."""
        return steps_of(self, x, positions, y, workspace)

    def reference(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Sort in numpy, which puts NaN at the end."""
        axis, size = self.axis % x.ndim, x.shape[self.axis]
        wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
        rows = np.sort(wide, axis).astype(x.dtype)
        wanted = np.clip(np.where(positions < 0, positions + size, positions), 0, size - 1)
        wanted = size - 1 - wanted if self.largest else wanted
        if positions.ndim == 1:
            return np.take(rows, wanted, axis) if wanted.size else rows.take([], axis)
        return np.take_along_axis(rows, wanted, axis)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield every axis and size of rows, ties, NaN, positions beyond a row, and empty."""
        rng = np.random.default_rng(11)
        for name, shape, positions, attributes in (
            ("median", (5, 33), [16], {}),
            ("quartiles", (7, 200), [50, 99, 149], {}),
            ("largest", (3, 1000), [0, 10], {"largest": True}),
            ("beyond", (2, 9), [-1, -20, 0, 20], {}),
            ("first_axis", (70, 3), [1, 35], {"axis": 0}),
            ("middle_axis", (2, 1030, 3), [512], {"axis": 1, "largest": True}),
            ("long_rows", (67, 1100), [3, 1099], {}),
            ("one_long_row", (17001,), [8500], {}),
            ("several_digits", (2, 16500), [-2], {"largest": True}),
            ("one", (1, 1), [0], {}),
            ("no_rows", (0, 4), [1], {}),
            ("no_positions", (3, 4), [], {}),
        ):
            x = (rng.integers(-4000, 4000, shape) / 32).astype(np.float32)
            yield Case(name, [x, np.array(positions, np.int64)], attributes)
        x = rng.choice(np.array([-1, 0.5, 2, np.inf, np.nan], np.float32), (4, 50))
        yield Case("ties_and_nan", [x, rng.integers(0, 50, (4, 3))])
        x = np.full((1, 4200), 0.5, np.float32)
        x[:, ::7] = np.nan
        yield Case("more_equal_than_kept", [x, rng.integers(0, 4200, (1, 133))])
