"""CumProd, cumulative products along an axis, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Input,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    ceil_div,
    int32,
    int64,
    known,
    product,
)

_THREADS = 128
#: The elements of a row in a tile.
_WIDTH = 32
_DEFINES = {"THREADS": _THREADS, "WIDTH": _WIDTH}


class CumProd(Plugin):
    """Multiply the elements of each row one after the other, and return every product.

    y[..., i, ...] = x[..., 0, ...] * ... * x[..., i, ...], with ``exclusive`` without the last one

    Each product is rounded to the type of x, and integers wrap around, as in numpy. A thread takes
    a row, so that few long rows take long.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32, linear; any dimension
                 dynamic.
    Outputs:     y: x's shape and dtype.
    Attributes:  axis: int, default -1. exclusive: bool, default false; y then begins with 1.
                 reverse: bool, default false; the products then begin at the end.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK126 x has no such axis.
    Source:      ONNX CumProd-26 with the axis stored in the model, without unsigned integers and
                 double; numpy.cumprod.
    """

    types = {"T": (*FLOAT_TYPES, int64, int32)}

    axis: int = attribute(default=-1, doc="the axis of the rows")
    exclusive: bool = attribute(default=False, doc="whether an element's own factor is left out")
    reverse: bool = attribute(default=False, doc="whether products begin at the end")

    x = Input("T", ranks=(1, 8))
    y = Output("T", like="x")

    inner_kernel = CudaKernel("kernel.cu", "cum_prod_inner<{T}>", defines=_DEFINES)
    row_kernel = CudaKernel("kernel.cu", "cum_prod_rows<{T}>", defines=_DEFINES)

    def check(self, x: TensorDesc) -> None:
        """Check that x has the axis."""
        x.axis(self.axis)

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch with a thread for each row."""
        axis = x.axis(self.axis)
        size, inner = known(x.shape[axis]), known(product(x.shape[axis + 1 :]))
        rows = known(product(x.shape[:axis])) * inner
        flags = (self.exclusive, self.reverse)
        grid = ceil_div(rows, _THREADS)
        if inner > 1:
            sizes = (int64(rows), int64(size), int64(inner))
            return Launch(self.inner_kernel, grid, _THREADS, (y, x, *sizes, *flags))
        return Launch(self.row_kernel, grid, _THREADS, (y, x, int64(rows), int64(size), *flags))

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        rows = np.moveaxis(x, self.axis, 0)
        rows = rows[::-1] if self.reverse else rows
        y = np.empty_like(rows)
        so_far = np.ones(rows.shape[1:], x.dtype)
        with np.errstate(all="ignore"):
            for i, elements in enumerate(rows):
                after = (so_far * elements).astype(x.dtype)
                y[i] = so_far if self.exclusive else after
                so_far = after
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
            ("no_rows", (0, 4), {}),
            ("no_elements", (4, 0), {}),
        ):
            x = rng.choice([-2.0, -1.0, 0.5, 1.0, 2.0], shape).astype(np.float32)
            yield Case(name, [x], attributes)
