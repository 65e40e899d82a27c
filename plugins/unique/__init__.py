"""Unique, of elements or of slices along an axis, in CUDA C++ and CUB."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Fill,
    Input,
    InputError,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    SizeOutput,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    dim_max,
    int64,
)
from pluginkit.plugins.unique.launches import UniqueLaunches
from pluginkit.plugins.unique.reference import unique
from pluginkit.plugins.unique.sort_levels import (
    BLOCK_ITEMS,
    DEFINES,
    KEYS,
    SHORT_BLOCK_ITEMS,
    UniqueProblem,
)

_KEYS = {"KEY": tuple(KEYS.values())}
_SHORT_KEY, _LONG_KEY = ({"KEY": (key,)} for key in KEYS.values())


class Unique(Plugin):
    """Return the different elements of ``x``, or its different slices along an axis.

    Y = x without repetitions;  Y[j] = x[indices[j]], its first occurrence;  counts[j]: how often
    Y[j] occurs;  x = Y[inverse_indices]   with x flattened where there is no axis

    Slices are ordered by the first element in which they differ. -0.0 equals 0.0; Y has the first
    of equal values. NaN equals NaN and comes last, as in numpy.unique of elements. ONNX leaves
    that open, and in ONNX Runtime NaN equals everything.

    Inputs:      x: rank 0 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear; any
                 dimension dynamic.
    Outputs:     Y: (found,); with an axis the shape of x with ``found`` along it. Dtype of x.
                 indices, counts: (found,) int64.
                 inverse_indices: (n,) int64, n being the elements of x, or the length of the axis.
                 found: int32, the size output; at most n.
    Attributes:  axis: int | None, -rank to rank - 1, default None: elements, not slices.
                 sorted: bool, default true: ascending; otherwise in the order of ``indices``.
    Workspace:   384 KiB and a little over 16 bytes for each slice of up to 4 bytes; for longer
                 slices 24 for every 8 bytes.      Tolerance: exact.
    Errors:      PK126 axis is out of range. size: x has 2^30 elements or slices, or more.
    Source:      ONNX Unique-28, without double and types that a TensorRT plugin cannot have as an
                 output.
    """

    onnx_op = OnnxOp("Unique", since=28)
    types = {"T": OUTPUT_TYPES}

    axis: int | None = attribute(default=None, doc="the axis of the slices; None for elements")
    sorted: bool = attribute(default=True, doc="ascending, not in the order of occurrence")

    x = Input("T")
    Y = Output("T")
    indices = Output(int64)
    inverse_indices = Output(int64)
    counts = Output(int64)
    found = SizeOutput()

    block_kernel = CudaKernel(
        "block.cu",
        "unique_of_block<{T}, {KEY}, {ITEMS}>",
        {**_KEYS, "ITEMS": BLOCK_ITEMS},
        defines=DEFINES,
    )
    short_block_kernel = CudaKernel(
        "block.cu",
        "unique_of_block<{T}, {KEY}, {ITEMS}>",
        {**_SHORT_KEY, "ITEMS": SHORT_BLOCK_ITEMS},
        defines=DEFINES,
    )
    range_kernel = CudaKernel("kernel.cu", "find_range<{T}>", defines=DEFINES)
    count_kernel = CudaKernel("dense.cu", "count_dense<{T}>", defines=DEFINES)
    number_kernel = CudaKernel("dense.cu", "number_dense<{T}>", defines=DEFINES)
    rank_kernel = CudaKernel("dense.cu", "rank_dense<{T}>", defines=DEFINES)
    key_kernel = CudaKernel("kernel.cu", "slice_keys<{T}, {KEY}>", _KEYS, defines=DEFINES)
    place_kernel = CudaKernel("sort_digits.cu", "place_digits", defines=DEFINES)
    sweep_kernel = CudaKernel("sort_digits.cu", "sweep<{KEY}>", _SHORT_KEY, defines=DEFINES)
    long_sweep_kernel = CudaKernel("sort_long_keys.cu", "sweep<{KEY}>", _LONG_KEY, defines=DEFINES)
    run_kernel = CudaKernel("kernel.cu", "find_runs<{T}, {KEY}>", _KEYS, defines=DEFINES)
    spread_kernel = CudaKernel("kernel.cu", "spread_ranks", defines=DEFINES)
    pair_kernel = CudaKernel("kernel.cu", "pair_ranks", defines=DEFINES)
    order_kernel = CudaKernel("kernel.cu", "order_runs", defines=DEFINES)
    rename_kernel = CudaKernel("kernel.cu", "rename_runs", defines=DEFINES)
    write_kernel = CudaKernel("kernel.cu", "write_runs", defines=DEFINES)
    take_kernel = CudaKernel("kernel.cu", "take_slices<{T}>", defines=DEFINES)

    def check(self, x: TensorDesc) -> None:
        """Check that positions, and the flags that the sort adds to counts, fit into 32 bits."""
        slices = 0 if self.axis is None else x.shape[x.axis(self.axis)]
        if dim_max(x.size, slices) >= 2**30:
            raise InputError(f"{x} has 2^30 elements or slices, or more.", code="size")

    def output_shapes(self, x: TensorDesc) -> tuple[Shape, Shape, Shape, Shape]:
        """Return the shapes: ``found`` for the different slices, and one number for every slice."""
        shape, axis = ((x.size,), 0) if self.axis is None else (x.shape, x.axis(self.axis))
        found = self.found.up_to(shape[axis])
        y = (*shape[:axis], found, *shape[axis + 1 :])
        return y, (found,), (shape[axis],), (found,)

    def workspace_bytes(self, x: TensorDesc) -> int:
        """Return room for keys and positions, twice, and for what blocks share."""
        return sum(UniqueProblem.of(x, self.axis).sizes)

    def launches(
        self,
        x: TensorDesc,
        Y: TensorDesc,  # noqa: N803  # ONNX's name
        indices: TensorDesc,
        inverse_indices: TensorDesc,
        counts: TensorDesc,
        found: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """Return one sort or several, then what finds and writes the runs of equal keys."""
        if not inverse_indices.size:
            return [Fill(found)]
        call = UniqueLaunches(self, x, workspace)
        return list(call.all(Y, indices, inverse_indices, counts, found))

    def reference(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the same in numpy; see reference.py."""
        return unique(x, self.axis, self.sorted)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield elements and slices of one, several and many words, in both orders; empty."""
        rng = np.random.default_rng(11)
        for name, shape, axis, is_sorted in (
            ("vector", (13,), None, True),
            ("first_places", (57,), None, False),
            ("tensor", (3, 5, 4), None, True),
            ("scalar", (), None, True),
            ("size_one", (1, 1), None, False),
            ("empty", (0, 3), None, True),
            ("many_tiles", (29, 31, 37), None, True),
            ("many_tiles_first_places", (20011,), None, False),
            ("pairs", (301, 2), 0, True),
            ("triples", (301, 3), 0, False),
            ("columns", (3, 57), -1, True),
            ("middle", (2, 60, 2), 1, True),
            ("long_slices", (31, 5, 29), 0, True),
            ("elements_of_an_axis", (1, 33, 1), 1, False),
            ("no_slices", (2, 0), 1, True),
            ("rank_eight", (2, 1, 1, 9, 1, 1, 1, 1), 3, True),
        ):
            spread = 2 if axis is not None else max(4, math.prod(shape) // 3)
            x = rng.integers(-spread, spread, shape) / np.float32(2)
            if axis is not None and name == "long_slices":
                x[::3] = x[0]
            yield Case(name, [x.astype(np.float32)], {"axis": axis, "sorted": is_sorted})
