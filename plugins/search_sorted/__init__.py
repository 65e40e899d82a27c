"""SearchSorted, where values belong in sorted sequences, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    DType,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    Shape,
    TensorDesc,
    attribute,
    int32,
    int64,
)
from pluginkit.plugins.search_sorted.launches import DEFINES, INDEX, ITEMS, launch_of

_OPTIONS = ("-ftz=false",)  # denormals are not equal to 0


class SearchSorted(Plugin):
    """Return where each value belongs in a sorted sequence.

    y[..., j] = the number of elements of sorted_sequence[..., :] below values[..., j], with
    ``right`` of those not above it

    NaN belongs behind all. A sequence that is not sorted, or has NaN, is halved as torch does it.

    Inputs:      sorted_sequence: (N,), for all values, or (..., N) with the dimensions that values
                 has before its last; rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 |
                 int8, linear; any dimension dynamic.
                 values: rank 1 to 8, dtype of sorted_sequence.
    Outputs:     y: the shape of values, int64, with ``out_int32`` int32.
    Attributes:  right: bool, default false. out_int32: bool, default false.
    Workspace:   none.      Tolerance: exact.
    Errors:      batch: the dimensions before the last differ. size: a sequence has more than
                 2^31 - 1 elements.
    Source:      torch.searchsorted and torch.bucketize, without double and uint8;
                 numpy.searchsorted.
    """

    types = {"T": OUTPUT_TYPES}

    right: bool = attribute(default=False, doc="whether equal elements come before a value")
    out_int32: bool = attribute(default=False, doc="whether y is int32, else int64")

    sorted_sequence = Input("T", ranks=(1, 8))
    values = Input("T", ranks=(1, 8))
    y = Output((int64, int32))

    tree_kernel = CudaKernel(
        "kernel.cu",
        "search_in_tree<{T}, {INDEX}, {right}>",
        INDEX,
        options=_OPTIONS,
        defines=DEFINES,
    )
    row_kernel = CudaKernel(
        "kernel.cu",
        "search_in_rows<{T}, {INDEX}, {right}, {ITEMS}>",
        {**INDEX, "ITEMS": ITEMS},
        options=_OPTIONS,
        defines=DEFINES,
    )
    warp_kernel = CudaKernel(
        "kernel.cu",
        "search_by_warps<{T}, {INDEX}, {right}>",
        INDEX,
        options=_OPTIONS,
        defines=DEFINES,
    )

    def check(self, sorted_sequence: TensorDesc, values: TensorDesc) -> None:
        """Check that there is one sequence, or one for each row of values."""
        of_sequence, of_values = sorted_sequence.shape, values.shape
        if len(of_sequence) > 1 and (
            len(of_sequence) != len(of_values)
            or any(a != b for a, b in zip(of_sequence[:-1], of_values[:-1], strict=True))
        ):
            raise InputError(
                f"{sorted_sequence}, {values}; expected one sequence, or the same batch.",
                code="batch",
            )
        if of_sequence[-1] > 2**31 - 1:
            raise InputError(
                f"{sorted_sequence}; expected at most 2^31 - 1 elements in a sequence.", code="size"
            )

    def output_types(self, sorted_sequence: TensorDesc, values: TensorDesc) -> DType:
        """Return the type of positions."""
        return int32 if self.out_int32 else int64

    def output_shapes(self, sorted_sequence: TensorDesc, values: TensorDesc) -> Shape:
        """Return the shape of the values."""
        return values.shape

    def launches(self, sorted_sequence: TensorDesc, values: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch, for few values, many in a sequence, or many sequences."""
        return launch_of(self, sorted_sequence, values, y)

    def reference(self, sorted_sequence: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Halve in numpy, all values at once."""
        *batch, size = sorted_sequence.shape
        rows = sorted_sequence.reshape(prod(batch), size)
        flat = values.reshape(len(rows), values.shape[-1] if batch else values.size)
        begin, end = np.zeros(flat.shape, np.int64), np.full(flat.shape, size, np.int64)
        while (begin < end).any():
            middle = begin + (end - begin) // 2
            element = np.take_along_axis(rows, np.minimum(middle, size - 1), axis=1)
            is_behind = ~(element > flat) if self.right else ~(element >= flat)
            is_open = begin < end
            begin = np.where(is_open & is_behind, middle + 1, begin)
            end = np.where(is_open & ~is_behind, middle, end)
        return begin.reshape(values.shape).astype(np.int32 if self.out_int32 else np.int64)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield one sequence and many, few and many values, ties, NaN, and empty."""
        rng = np.random.default_rng(31)
        for name, of_sequence, of_values, attributes in (
            ("boundaries", (9,), (5, 6), {}),
            ("right", (9,), (5, 6), {"right": True}),
            ("narrow", (9,), (5, 6), {"out_int32": True}),
            ("many_values", (17,), (2500,), {"right": True, "out_int32": True}),
            ("many_of_both", (5000,), (1, 8193), {}),
            ("few_values", (5000,), (3, 7), {"right": True}),
            ("rows", (7, 20), (7, 3), {}),
            ("rows_right", (2, 3, 33), (2, 3, 5), {"right": True}),
            ("long_rows", (2, 100), (2, 2100), {"out_int32": True}),
            ("one", (1,), (1,), {}),
            ("no_elements", (0,), (4,), {}),
            ("no_values", (5,), (0, 3), {}),
        ):
            sequence = np.sort(rng.integers(-60, 60, of_sequence) / 4).astype(np.float32)
            values = (rng.integers(-64, 64, of_values) / 4).astype(np.float32)
            yield Case(name, [sequence, values], attributes)
        few = np.repeat(np.array([-1, 0, 2, np.inf, np.nan], np.float32), 3)
        asked = np.array([-np.inf, -1, -0.0, 0.5, np.inf, np.nan], np.float32)
        for right in (False, True):
            yield Case(f"ties_and_nan, {right}", [few, asked], {"right": right})
