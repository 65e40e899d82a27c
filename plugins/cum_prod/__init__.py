"""CumProd, cumulative products along an axis, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
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
from pluginkit.plugins._cuda.clear import DEFINES as CLEAR_DEFINES
from pluginkit.plugins.cum_prod.launches import (
    AT_ONCE,
    DEFINES,
    LANES,
    steps_of,
    workspace_bytes,
)

_DOWN = {"DOWN": (True, False)}  # whether the elements of a row are not contiguous


class CumProd(Plugin):
    """Multiply the elements of each row one after the other, and return every product.

    y[..., i, ...] = x[..., 0, ...] * ... * x[..., i, ...], with ``exclusive`` without the last one

    Products of floats are computed in float32 with an exponent that has no limits, and rounded to
    the type of x at the end: y is 0 or infinite only where its own product is too small or too
    large. numpy's stay so from the first such product on. Integers wrap around, as in numpy.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32, linear; any dimension
                 dynamic.
    Outputs:     y: x's shape and dtype.
    Attributes:  axis: int, default -1. exclusive: bool, default false; y then begins with 1.
                 reverse: bool, default false; the products then begin at the end.
    Workspace:   up to 200 kB, or 16 bytes for each 2048 elements of the longest 396 rows, 32 for
                 int64; none for rows of up to 64.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y); rounding errors
                 grow with the root of a row's length. Integers are exact.
    Errors:      PK126 x has no such axis.
    Source:      ONNX CumProd-26 with the axis stored in the model, without unsigned integers and
                 double; numpy.cumprod.
    """

    types = {"T": (*FLOAT_TYPES, int64, int32)}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 1.6e-2, int64: 0, int32: 0}

    axis: int = attribute(default=-1, doc="the axis of the rows")
    exclusive: bool = attribute(default=False, doc="whether an element's own factor is left out")
    reverse: bool = attribute(default=False, doc="whether products begin at the end")

    x = Input("T", ranks=(1, 8))
    y = Output("T", like="x")

    lane_kernel = CudaKernel(
        "kernel.cu", "cum_prod_of_lanes<{T}, {LANES}>", {"LANES": LANES}, defines=DEFINES
    )
    column_kernel = CudaKernel(
        "columns.cu",
        "cum_prod_of_columns<{T}, {IS_VECTOR}, {AT_ONCE}>",
        {"IS_VECTOR": (False, True), "AT_ONCE": AT_ONCE},
        defines=DEFINES,
    )
    clear_kernel = CudaKernel("../_cuda/clear.cu", "clear", defines=CLEAR_DEFINES)
    tile_kernel = CudaKernel(
        "tiles.cu",
        "scan_tiles<{T}, {LARGE}>",
        {"LARGE": (False, True)},
        defines=DEFINES,
        overlaps=True,
    )
    part_kernel = CudaKernel("scan.cu", "reduce_parts<{T}>", defines=DEFINES)
    scan_kernel = CudaKernel(
        "scan.cu", "scan_parts<{T}, {DOWN}>", _DOWN, defines=DEFINES, overlaps=True
    )

    def check(self, x: TensorDesc) -> None:
        """Check that x has the axis."""
        x.axis(self.axis)

    def workspace_bytes(self, x: TensorDesc) -> Dim:
        """Return room for the products of parts of rows."""
        return workspace_bytes(self, x)

    def launches(self, x: TensorDesc, y: TensorDesc, workspace: Workspace) -> Sequence[Step]:
        """Return one launch, or two steps where blocks share rows; launches.py says which."""
        return steps_of(self, x, y, workspace)

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy, floats in float64 with an exponent apart."""
        rows = np.moveaxis(x, self.axis, 0)
        rows = rows[::-1] if self.reverse else rows
        y = np.empty_like(rows)
        is_whole = np.issubdtype(x.dtype, np.integer)
        so_far = np.ones(rows.shape[1:], x.dtype if is_whole else np.float64)
        exponent = np.zeros(rows.shape[1:], np.int64)
        with np.errstate(all="ignore"):
            for i, elements in enumerate(rows):
                after, more = so_far * elements.astype(so_far.dtype), 0
                if not is_whole:
                    after, more = np.frexp(after)
                values = (so_far, exponent) if self.exclusive else (after, exponent + more)
                so_far, exponent = after, exponent + more
                y[i] = values[0] if is_whole else np.ldexp(*values)
        return np.moveaxis(y[::-1] if self.reverse else y, 0, self.axis)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield every direction, axes inside and at the end, odd sizes, a vector, and empty."""
        rng = np.random.default_rng(26)
        for name, shape, attributes in (
            ("rows", (35, 67), {}),
            ("exclusive", (5, 33), {"exclusive": True}),
            ("reverse", (3, 65), {"reverse": True}),
            ("both", (2, 3, 7), {"exclusive": True, "reverse": True}),
            ("columns", (9, 130), {"axis": 0}),
            ("inside", (3, 5, 7), {"axis": 1, "reverse": True}),
            ("a_vector", (100,), {}),
            ("one", (1, 1), {"exclusive": True}),
            ("long", (2, 600), {"exclusive": True}),
            ("long_inside", (1, 300, 3), {"axis": 1, "reverse": True}),
            ("shared", (1, 2, 5000), {"reverse": True}),
            ("no_rows", (0, 4), {}),
            ("no_elements", (4, 0), {}),
        ):
            x = rng.choice([-2.0, -1.0, 0.5, 1.0, 2.0], shape).astype(np.float32)
            yield Case(name, [x], attributes)
