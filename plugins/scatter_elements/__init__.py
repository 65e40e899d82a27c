"""ScatterElements with every reduction, complete to ONNX opset 18, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OFFSETS,
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    OnnxOp,
    Output,
    Plugin,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    bfloat16,
    float16,
    float32,
    int32,
    int64,
)
from pluginkit.plugins._cuda.copy import DEFINES as COPY_DEFINES
from pluginkit.plugins._cuda.radix_sort import DEFINES as SORT_DEFINES
from pluginkit.plugins._cuda.reductions import Reduction
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES
from pluginkit.plugins.scatter_elements.cases import sample_calls
from pluginkit.plugins.scatter_elements.combined_elements import DEFINES as COMBINED
from pluginkit.plugins.scatter_elements.launches import DEFINES, DEPTHS, ScatterElementsCall
from pluginkit.plugins.scatter_elements.ordered_rows import DEFINES as ORDERED
from pluginkit.plugins.scatter_elements.ordered_rows import SWEPT_ITEMS, list_bound, list_bytes
from pluginkit.plugins.scatter_elements.reference import scatter_elements

_TILE_VECTORS = {"CELL_VECTORS": (False, True), "UPDATE_VECTORS": (False, True)}


class ScatterElements(Plugin):
    """Write or reduce ``updates`` into a copy of ``data`` at ``indices`` along ``axis``.

    output = data;  o = output[i, indices[i, j, k], k];  o = f(o, updates[i, j, k])   for axis = 1

    f(o, u) is u, o + u, o * u, min(o, u) or max(o, u). A negative index counts from the end of the
    axis. For an index out of range the reference raises an error; the kernels skip the update and
    never write out of bounds.

    Where an index occurs twice, "none" keeps the last update in the reference and one of them on a
    GPU. Integers wrap. NaN wins in "min" and "max", as in numpy. Floating-point sums and products
    run in any order. Where atomics suit the shape, as for sums of rows where data is small, and for
    rows of indices that are not constant, 16-bit types also round at every update, and in rows of
    data with more than 10 updates once for about 8 of the others, while the reference accumulates
    in float32 and rounds once: the error grows with the number of roundings and with the largest
    intermediate value, and the tolerance is for 16 updates below 4 in magnitude. Atomics of 2^21
    updates or more, at least 4 for each of up to 2^23 elements, or of 2^17 or more of few elements,
    go to float32 sums, which round once. deterministic=True fixes
    the order: results are bit-identical from run to run, "none" keeps the last update, and 16-bit
    types round once, or twice where some rows of indices are constant and others are not.

    Inputs:      data: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
                 indices: int64 | int32, the rank of data; it may be larger than data along the
                 axis only.
                 updates: the shape of indices, the dtype of data.
    Outputs:     output: the shape and dtype of data.
    Attributes:  axis: int, -rank to rank - 1, default 0.
                 reduction: none | add | mul | min | max, default none.
                 deterministic: bool, default false.
    Workspace:   5 bytes for each row of data and 8 for each row of updates where the axis is not
                 the last, and when deterministic 4 for each element of both. Where 2^17 updates or
                 more may need atomics 32, and 4 for each float32 sum.
    Tolerance:   float32 1e-5, float16 4e-2, bfloat16 3e-1; integers exact.
    Errors:      PK124 indices and updates differ in shape. PK126 axis is out of range.
                 shapes: the shapes do not fit data.
                 index: an index is out of range (reference). deterministic: more than 2^31 - 1
                 elements with deterministic=True.
    Source:      ONNX ScatterElements-18; without bool, uint8 and other types that a TensorRT
                 plugin cannot have as an output.
    """

    onnx_op = OnnxOp("ScatterElements", since=18)
    types = {"T": OUTPUT_TYPES, "Tind": (int64, int32)}
    tolerance = {float32: 1e-5, float16: 4e-2, bfloat16: 3e-1}

    axis: int = attribute(default=0, doc="the axis that indices count along")
    reduction: Reduction = attribute(
        default="none", doc="how an update is combined with the value in data"
    )
    deterministic: bool = attribute(default=False, doc="bit-identical results from run to run")

    data = Input("T", ranks=(1, 8))
    indices = Input("Tind", shape=("*S",), ranks=(1, 8))
    updates = Input("T", shape=("*S",))
    output = Output("T", like="data")

    copy_data = CudaKernel("../_cuda/copy.cu", "copy_bytes", defines=COPY_DEFINES)
    elements = CudaKernel(
        "kernel.cu",
        "scatter_elements<{T}, {Tind}, Reduction::{reduction}, {OFFSET}, {RANK}, {VECTOR}>",
        constants={"OFFSET": OFFSETS, "RANK": (3, 8), "VECTOR": (1, VECTOR_BYTES)},
        defines=DEFINES,
        overlaps=True,
    )
    begin_sums = CudaKernel(
        "combined_elements.cu",
        "begin_sums<{T}, {WIDE}>",
        constants={"WIDE": (False, True)},
        defines=COMBINED,
    )
    combined_elements = CudaKernel(
        "combined_elements.cu",
        "combine_elements<{T}, {Tind}, Reduction::{reduction}, {WIDE}, {OFFSET}, {RANK}>",
        constants={"WIDE": (False, True), "OFFSET": OFFSETS, "RANK": (3, 8)},
        defines=COMBINED,
        overlaps=True,
    )
    round_sums = CudaKernel(
        "combined_elements.cu", "round_sums<{T}>", defines=COMBINED, overlaps=True
    )
    tile = CudaKernel(
        "tile.cu",
        "scatter_tile<{T}, {Tind}, Reduction::{reduction}, {CELL_VECTORS}, {UPDATE_VECTORS}>",
        constants=_TILE_VECTORS,
        defines=DEFINES,
    )
    ordered_tile = CudaKernel(
        "ordered_tile.cu",
        "scatter_ordered_tile<{T}, {Tind}, Reduction::{reduction}, {CELL_VECTORS}, "
        "{UPDATE_VECTORS}>",
        constants=_TILE_VECTORS,
        defines=DEFINES,
    )
    slab = CudaKernel(
        "slab.cu", "scatter_slab<{T}, {Tind}, Reduction::{reduction}>", defines=DEFINES
    )
    last = CudaKernel("last.cu", "scatter_last<{T}, {Tind}>", defines=DEFINES)
    column = CudaKernel(
        "column.cu",
        "scatter_column<{T}, {Tind}, Reduction::{reduction}, {DEPTH}>",
        constants={"DEPTH": DEPTHS},
        defines=DEFINES,
    )
    link_rows = CudaKernel(
        "rows.cu",
        "link_rows<{Tind}, {KEEP_LAST}, {VECTOR}>",
        constants={"KEEP_LAST": (False, True), "VECTOR": (1, VECTOR_BYTES)},
        defines=DEFINES,
    )
    gather_rows = CudaKernel(
        "rows.cu",
        "gather_rows<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": (1, VECTOR_BYTES)},
        defines=DEFINES,
    )
    finish_long_lists = CudaKernel(
        "rows.cu",
        "finish_long_lists<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": (1, VECTOR_BYTES)},
        defines=DEFINES,
    )
    finish_irregular_rows = CudaKernel(
        "rows.cu",
        "finish_irregular_rows<{T}, {Tind}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (4, 8, 16, 32), "VECTOR": (1, VECTOR_BYTES)},
        defines=DEFINES,
    )
    make_row_keys = CudaKernel("ordered_rows.cu", "make_row_keys", defines=ORDERED)
    make_element_keys = CudaKernel(
        "ordered_rows.cu",
        "make_element_keys<{Tind}, {RANK}>",
        constants={"RANK": (3, 8)},
        defines=ORDERED,
    )
    place_digits = CudaKernel(
        "../_cuda/radix_sort.cu", "place_digits<DIGIT_BITS>", defines=SORT_DEFINES
    )
    sort_by_digit = CudaKernel(
        "../_cuda/radix_sort.cu",
        "sweep<unsigned int, {ITEMS}>",
        constants={"ITEMS": (SWEPT_ITEMS,)},
        defines=SORT_DEFINES,
    )
    find_row_starts = CudaKernel("ordered_rows.cu", "find_row_starts", defines=ORDERED)
    combine_chunks = CudaKernel(
        "ordered_rows.cu",
        "combine_chunks<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (1, 4, 8, 16, 32), "VECTOR": (1, VECTOR_BYTES)},
        defines=ORDERED,
    )
    gather_ordered_rows = CudaKernel(
        "ordered_rows.cu",
        "gather_ordered_rows<{T}, Reduction::{reduction}, {LANES}, {VECTOR}>",
        constants={"LANES": (1, 4, 8, 16, 32), "VECTOR": (1, VECTOR_BYTES)},
        defines=ORDERED,
    )
    empty_heads = CudaKernel("lists.cu", "empty_heads", defines=DEFINES)
    link_elements = CudaKernel(
        "lists.cu",
        "link_elements<{Tind}, {RANK}, {KEEP_LAST}>",
        constants={"RANK": (3, 8), "KEEP_LAST": (False, True)},
        defines=DEFINES,
    )
    gather_elements = CudaKernel(
        "lists.cu", "gather_elements<{T}, Reduction::{reduction}>", defines=DEFINES
    )

    def check(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> None:
        """Check that the ranks are equal, and that indices fit into data."""
        axis = data.axis(self.axis)
        others = [dim for dim in range(data.ndim) if dim != axis]
        too_large = (dim for dim in others if indices.shape[dim] > data.shape[dim])
        if data.ndim != indices.ndim:
            expected = "one rank for all three"
        elif (dim := next(too_large, None)) is not None:
            expected = f"indices within data in dimension {dim}, which is not axis {axis}"
        else:
            return
        raise InputError(f"{data}, {indices}, {updates}; expected {expected}.", code="shapes")

    def workspace_bytes(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> int:
        """Return room for lists of updates, for the variants that keep them in global memory."""
        return list_bytes(self, data, indices, updates)

    def workspace_bound(self, data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> Dim:
        """Return room for lists of rows, or for updates in order."""
        return list_bound(self, data, updates)

    def launches(
        self,
        data: TensorDesc,
        indices: TensorDesc,
        updates: TensorDesc,
        output: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Step]:
        """Return the launches of the variant that suits the shape; see variants.py."""
        return ScatterElementsCall(self, data, indices, updates, output, workspace).steps()

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return scatter_elements(data, indices, updates, self.axis, self.reduction)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Return sample calls; see cases.py."""
        return sample_calls()
