"""Unique, of elements or of slices along an axis, with its kernels in CUDA C++ and CUB."""

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
    OnnxOp,
    Output,
    Plugin,
    Shape,
    SizeOutput,
    Step,
    TensorDesc,
    TensorError,
    Workspace,
    attribute,
    dim_max,
    int64,
)
from pluginkit.plugins.unique.launches import KEYS, Problem, Steps
from pluginkit.plugins.unique.reference import unique

_KEYS = {"KEY": tuple(KEYS.values())}


class Unique(Plugin):
    """What ``x`` holds, once each: its elements, or its slices along an axis.

    Y = x without repetitions;  indices: where each stood first;  counts: how often it stands there;
    x = Y[inverse_indices], of the flattened ``x`` where there is no axis

    Slices are ordered by their first elements that differ. -0.0 equals 0.0; of equal values Y has
    the first. NaN equals NaN and comes last, as numpy.unique has it for elements; ONNX leaves that
    open, and ONNX Runtime takes NaN to equal everything.

    Inputs:      x: rank 0 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear; any
                 dimension dynamic.
    Outputs:     Y: (found,), with an axis the shape of x with ``found`` there, dtype of x.
                 indices, counts: (found,) int64.
                 inverse_indices: int64, as long as x has elements, with an axis as long as that is.
                 found: int32, the size output; at most the length of inverse_indices.
    Attributes:  axis: int | None, -rank to rank - 1, default None: elements, not slices.
                 sorted: bool, default true: in ascending order; else in that of ``indices``.
    Workspace:   16 bytes and a little more for each slice of up to 4 bytes; for each 8 bytes of
                 longer slices 24.      Tolerance: exact.
    Errors:      PK126 axis is out of range; PK152 x has 2^30 elements or slices, or more.
    Source:      ONNX Unique-28, without double and types that a TensorRT plugin cannot have as an
                 output.
    """

    onnx_op = OnnxOp("Unique", since=28)
    types = {"T": OUTPUT_TYPES}

    axis: int | None = attribute(default=None, doc="the axis of the slices; None for elements")
    sorted: bool = attribute(default=True, doc="in ascending order, not that of the first places")

    x = Input("T")
    Y = Output("T")
    indices = Output(int64)
    inverse_indices = Output(int64)
    counts = Output(int64)
    found = SizeOutput()

    key_kernel = CudaKernel("kernel.cu", "slice_keys<{T}, {KEY}>", _KEYS)
    place_kernel = CudaKernel("radix_sort.cu", "place_digits")
    sweep_kernel = CudaKernel("radix_sort.cu", "sweep<{KEY}>", _KEYS)
    run_kernel = CudaKernel("kernel.cu", "find_runs<{KEY}>", _KEYS)
    pair_kernel = CudaKernel("kernel.cu", "pair_ranks")
    order_kernel = CudaKernel("kernel.cu", "order_runs")
    rename_kernel = CudaKernel("kernel.cu", "rename_runs")
    write_kernel = CudaKernel("kernel.cu", "write_runs")
    take_kernel = CudaKernel("kernel.cu", "take_slices<{T}>")

    def check(self, x: TensorDesc) -> None:
        """Positions, and what the sort keeps beside them, fit into 32 bits."""
        slices = 0 if self.axis is None else x.shape[x.axis(self.axis)]
        if dim_max(x.size, slices) >= 2**30:
            raise TensorError(
                "PK152", f"Unique: {x} has 2^30 elements or slices, or more; expected fewer."
            )

    def output_shapes(self, x: TensorDesc) -> tuple[Shape, Shape, Shape, Shape]:
        """Slices that are found, and for each slice of ``x`` which one it is."""
        if self.axis is None:
            found = self.found.up_to(x.size)
            return (found,), (found,), (x.size,), (found,)
        axis = x.axis(self.axis)
        found = self.found.up_to(x.shape[axis])
        y = (*x.shape[:axis], found, *x.shape[axis + 1 :])
        return y, (found,), (x.shape[axis],), (found,)

    def workspace_bytes(self, x: TensorDesc) -> int:
        """Keys and positions, twice, and what blocks tell each other."""
        return sum(Problem.of(x, self.axis).sizes())

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
        """A sort or several, then the runs of what is equal."""
        if not inverse_indices.size:
            return [Fill(found)]
        return list(Steps(self, x, workspace).all(Y, indices, inverse_indices, counts, found))

    def reference(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """A stable sort of the slices' elements, the last ones first."""
        return unique(x, self.axis, self.sorted)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Elements and slices, short, of several words and of many; in both orders; empty."""
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
