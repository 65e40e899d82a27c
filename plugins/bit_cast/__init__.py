"""BitCast: other types for the same bits, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    Case,
    Copy,
    CudaKernel,
    DType,
    Input,
    InputError,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    bfloat16,
    ceil_div,
    float16,
    float32,
    int32,
    int64,
    known,
)

_THREADS = 256
_VECTOR_BYTES = 16
#: Fewer bytes are copied by the driver, which takes less time to begin, and so are those from the
#: second number on.
_FEW_BYTES, _MANY_BYTES = 2**18, 2**27
_TYPES = (float32, float16, bfloat16, int32)
_BY_ONNX = {dtype.onnx: dtype for dtype in _TYPES}


class BitCast(Plugin):
    """Give the bits of ``x`` another type of the same size.

    y[i] = the value of type ``to`` whose bits are those of x[i]

    Inputs:      x: float32 | float16 | bfloat16 | int32, any shape, linear.
    Outputs:     y: x's shape, the type ``to``.
    Attributes:  to: int, required; the type as an ``onnx.TensorProto.DataType``: 1 FLOAT, 6 INT32,
                 10 FLOAT16, 16 BFLOAT16.
    Workspace:   none.      Tolerance: exact; every bit, also of NaN.
    Errors:      PK104 to is another type. type: to has another size than x's type.
    Source:      ONNX BitCast-26, with the types of 2 and 4 bytes that a plugin can have.
    """

    onnx_op = OnnxOp("BitCast", since=26)
    types = {"T": _TYPES}

    to: int = attribute(
        check=lambda value: None if value in _BY_ONNX else f"expected one of {sorted(_BY_ONNX)}",
        doc="the type of y, in ONNX's numbers",
    )

    x = Input("T")
    y = Output(_TYPES, like="x")

    kernel = CudaKernel(
        "kernel.cu",
        "bit_cast<{WORD}>",
        {"WORD": ("unsigned short", "unsigned int")},
        defines={"THREADS": _THREADS},
    )

    def output_types(self, x: TensorDesc) -> DType:
        """Return the type ``to``; refuse one of another size."""
        to = _BY_ONNX[self.to]
        if to.itemsize != x.dtype.itemsize:
            raise InputError(
                f"x is {x.dtype.name} of {x.dtype.itemsize} bytes, to is {to.name} of "
                f"{to.itemsize}; expected types of one size.",
                code="type",
                fix="use Cast to change values, or a type of the same size.",
            )
        return to

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch | Copy:
        """Return a copy, or a launch with a thread for each vector where that is faster."""
        nbytes = known(x.nbytes)
        if nbytes < _FEW_BYTES or nbytes >= _MANY_BYTES:
            return Copy(y, x)
        return Launch(
            self.kernel,
            grid=ceil_div(x.nbytes, _THREADS * _VECTOR_BYTES),
            block=_THREADS,
            args=(y, x, int64(x.size)),
            constants={"WORD": "unsigned short" if x.dtype.itemsize == 2 else "unsigned int"},
        )

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        return x.view(_BY_ONNX[self.to].numpy)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield each type with values of every kind, odd sizes, many, a scalar, and nothing."""
        rng = np.random.default_rng(26)
        for to in _TYPES:
            many = _FEW_BYTES // to.itemsize + 3
            for name, shape in (
                *(("rows", (5, 911)), ("many", (many,))),
                *(("scalar", ()), ("nothing", (3, 0))),
            ):
                x = (rng.normal(size=shape) * 1000).astype(f"float{8 * to.itemsize}")
                yield Case(f"{name}_to_{to.name}", [x], {"to": to.onnx})
