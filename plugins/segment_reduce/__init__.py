"""SegmentReduce: sums, means, maxima and minima of the rows that edges name, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Output,
    Plugin,
    Shape,
    ShapeInput,
    Step,
    TensorDesc,
    attribute,
    bfloat16,
    float16,
    float32,
    int32,
    int64,
)
from pluginkit.plugins._cuda.clear import DEFINES as CLEAR_DEFINES
from pluginkit.plugins._cuda.radix_sort import DEFINES as SORT_DEFINES
from pluginkit.plugins.segment_reduce.added_edges import SINGLE_LOADS
from pluginkit.plugins.segment_reduce.cases import sample_calls
from pluginkit.plugins.segment_reduce.launches import (
    CHUNK_DEFINES,
    DEFINES,
    KEY_DEFINES,
    SegmentAggregate,
    SegmentCall,
    Weights,
)
from pluginkit.plugins.segment_reduce.reference import segment_reduce
from pluginkit.plugins.segment_reduce.segment_problem import (
    BITS,
    SPREAD,
    SWEPT_ITEMS,
    VECTORS,
    WEIGHTED_ITEMS,
    check_shapes,
)
from pluginkit.plugins.segment_reduce.segment_workspace import workspace_bound, workspace_bytes

_CONSTANTS = {"VECTOR": VECTORS, "WEIGHTS": get_args(Weights)}


class SegmentReduce(Plugin):
    """Reduce the rows of x that edges name into the rows of y: messages of a graph, never stored.

    y[d] = aggregate of weights[e] * x[sources[e]] over the edges e with destinations[e] = d

    y[d] is 0 where no edge leads to d. Negative indices count from the end. For an index out of
    range the reference raises an error, and the kernels leave the edge out. Sums and products are
    computed in float32 and rounded once. Their order follows from the edges, so that results have
    the same bits in every run, except for sums of float32 over few edges, which atomics add up
    unless deterministic=True. NaN wins in max and min.

    Inputs:      x: (N, ...) float32 | float16 | bfloat16, linear; any dimension dynamic.
                 destinations: (E,) int64 | int32, in any order; quicker if they ascend.
                 rows: int64[1], a shape input: the rows of y.
                 sources: (E,), dtype of destinations; absent: 0, 1, 2, ..., for which N = E.
                 weights: (E,) or (E, H), dtype of x; absent: 1. With H columns, each multiplies one
                 of H equal parts of a row.
    Outputs:     y: (rows, ...), dtype of x.
    Attributes:  aggregate: add | mean | max | min, default add.
                 initial: float | None, default None: with max and min, a further element of each
                 row that has an edge.
                 deterministic: bool, default false.
    Workspace:   about 17 bytes for each edge, or 25 with weights; 1/4 byte for each element of the
                 messages; 1 byte for each row of y. Of up to 2^18 edges, up to 8 for each of up to
                 2^18 rows, or 1 for 4 of up to 2^20: 12 or 16 bytes for each, 1/2 byte for each
                 element of the messages, and 68 bytes for each row. None for few edges.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y).
    Errors:      shapes: sources are absent and N is not E, or the columns of weights do not divide
                 a row. size: 2^30 edges or rows, or more, or a row of more loads of up to 16 bytes
                 than 65535 * 32. index: an index is out of range (reference).
    Source:      Gather, Mul, and ScatterElements or ScatterND with a reduction onto zeros; torch's
                 index_add, scatter_reduce and segment_reduce.
    """

    types = {"T": FLOAT_TYPES, "Tind": (int64, int32)}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 1.6e-2}

    aggregate: SegmentAggregate = attribute(
        default="add", doc="what a row of y is of the rows of x"
    )
    initial: float | None = attribute(
        default=None, doc="a further element of each maximum or minimum"
    )

    deterministic: bool = attribute(default=False, doc="bit-identical results from run to run")

    x = Input("T", ranks=(1, 8))
    destinations = Input("Tind", shape=("E",))
    rows = ShapeInput()
    sources = Input("Tind", shape=("E",), optional=True)
    weights = Input("T", shape=("E", ...), optional=True)
    y = Output("T")

    scan_kernel = CudaKernel(
        "scan.cu",
        "scan_edges<{T}, {Tind}, pluginkit::Aggregate::{aggregate}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS,
        defines=DEFINES,
    )
    clear_kernel = CudaKernel("../_cuda/clear.cu", "clear", defines=CLEAR_DEFINES)
    add_kernel = CudaKernel(
        "add.cu",
        "add_edges<{Tind}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS,
        defines=DEFINES,
        overlaps=True,
    )
    narrow_kernel = CudaKernel(
        "add.cu",
        "add_narrow_edges<{Tind}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS,
        defines=DEFINES,
        overlaps=True,
    )
    single_kernel = CudaKernel(
        "add_single.cu",
        "add_single_elements<{Tind}, Weights::{WEIGHTS}, {TOGETHER}>",
        {"WEIGHTS": ("none", "column"), "TOGETHER": (1, SINGLE_LOADS)},
        defines=DEFINES,
        overlaps=True,
    )
    chunk_kernel = CudaKernel(
        "chunks.cu",
        "sort_chunks<{T}, {Tind}, pluginkit::Aggregate::{aggregate}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS,
        defines=CHUNK_DEFINES,
        overlaps=True,
    )
    gather_kernel = CudaKernel(
        "chunks.cu",
        "gather_chunks<{T}, pluginkit::Aggregate::{aggregate}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS,
        defines=CHUNK_DEFINES,
        overlaps=True,
    )
    key_kernel = CudaKernel("keys.cu", "make_keys<{T}, {Tind}>", defines=KEY_DEFINES, overlaps=True)
    place_kernel = CudaKernel(
        "../_cuda/radix_sort.cu",
        "place_digits<{BITS}>",
        {"BITS": BITS},
        defines=SORT_DEFINES,
        overlaps=True,
    )
    sweep_kernel = CudaKernel(
        "../_cuda/radix_sort.cu",
        "sweep<unsigned int, {ITEMS}, int, {BITS}>",
        {"ITEMS": SWEPT_ITEMS, "BITS": BITS},
        defines=SORT_DEFINES,
        overlaps=True,
    )
    weighted_sweep_kernel = CudaKernel(
        "../_cuda/radix_sort.cu",
        "sweep<unsigned int, {ITEMS}, int2, {BITS}>",
        {"ITEMS": WEIGHTED_ITEMS, "BITS": BITS},
        defines=SORT_DEFINES,
        overlaps=True,
    )
    edge_kernel = CudaKernel(
        "kernel.cu",
        "reduce_edges<{T}, pluginkit::Aggregate::{aggregate}, {VECTOR}, Weights::{WEIGHTS}>",
        _CONSTANTS | {"VECTOR": (*VECTORS, SPREAD)},
        defines=DEFINES,
        overlaps=True,
    )
    item_kernel = CudaKernel(
        "kernel.cu",
        "reduce_items<{T}, pluginkit::Aggregate::{aggregate}>",
        defines=DEFINES,
        overlaps=True,
    )
    zero_kernel = CudaKernel(
        "kernel.cu",
        "zero_rows<{T}, {VECTOR}>",
        {"VECTOR": VECTORS},
        defines=DEFINES,
        overlaps=True,
    )

    def check(self, *tensors: Any) -> None:
        """Check that edges have rows of x, that weights divide them, and that 32 bits suffice."""
        check_shapes(self, *tensors)

    def output_shapes(
        self, x: TensorDesc, destinations: TensorDesc, rows: TensorDesc, *_: TensorDesc | None
    ) -> Shape:
        """Return the shape of x with the wanted number of rows."""
        return (rows.values[0], *x.shape[1:])

    def workspace_bytes(self, *tensors: Any) -> int:
        """Return room for the sort and for the items of long runs."""
        return workspace_bytes(self, *tensors)

    def workspace_bound(self, *tensors: Any) -> Dim:
        """Return room for the sort and for the items of long runs."""
        return workspace_bound(*tensors)

    def launches(
        self, x: TensorDesc, destinations: TensorDesc, _: TensorDesc, *tensors: Any
    ) -> Sequence[Step]:
        """Return one launch for few edges, three for some; else a sort, reductions and zeros."""
        return SegmentCall(self, x, destinations, *tensors).steps()

    def reference(self, *arrays: Any) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return segment_reduce(self, *arrays)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield every aggregate, with and without sources and weights, hubs, and what is empty."""
        return sample_calls()
