"""The tensor types of plugins, with their names in numpy, TensorRT, ONNX and CUDA C++.

A :class:`DType` is also a constructor for kernel arguments: ``int32(n)`` is ``n`` passed as a
32-bit integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.errors import TensorError

if TYPE_CHECKING:
    import numpy as np

    from pluginkit.contract.dims import Dim


@dataclass(frozen=True, init=False)
class Scalar:
    """One kernel argument passed by value: an integer, float or bool of an exact type.

    A ``values`` tuple longer than one is a C struct that holds an array, as in ``struct { int64_t
    d[8]; }``.
    """

    dtype: DType
    values: tuple[Dim | float | bool, ...]

    def __init__(self, dtype: DType, values: tuple[Dim | float | bool, ...]) -> None:
        # Made for every call; a frozen dataclass's own __init__ takes three times as long.
        members = self.__dict__
        members["dtype"], members["values"] = dtype, values


@dataclass(frozen=True)
class DType:
    """A tensor element type.

    The hash is that of the name: a dataclass would hash every member, at every look-up.

    Attributes:
        name: pluginkit's and numpy's name, ``"float32"``.
        itemsize: bytes per element.
        trt: the member of ``tensorrt.DataType``.
        onnx: the value of ``onnx.TensorProto.DataType``.
        cpp: the CUDA C++ type, as written in a kernel's template arguments.
    """

    name: str
    itemsize: int
    trt: str
    onnx: int
    cpp: str

    def __call__(self, value: Dim | float | bool | Sequence[Dim]) -> Scalar:
        """Return a kernel argument passed by value; a sequence becomes a struct of an array."""
        if isinstance(value, (int, float)) or not isinstance(value, Sequence):
            return Scalar(self, (value,))
        return Scalar(self, tuple(value))

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype; bfloat16's comes from ml_dtypes."""
        import numpy as np

        if self.name == "bfloat16":
            import ml_dtypes

            bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return bfloat16
        return np.dtype(self.name)

    @property
    def is_floating(self) -> bool:
        """Whether it is a floating-point type."""
        return "float" in self.name

    def __repr__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)


float32 = DType("float32", 4, "FLOAT", 1, "float")
float16 = DType("float16", 2, "HALF", 10, "__half")
bfloat16 = DType("bfloat16", 2, "BF16", 16, "__nv_bfloat16")
int64 = DType("int64", 8, "INT64", 7, "long long")
int32 = DType("int32", 4, "INT32", 6, "int")
int8 = DType("int8", 1, "INT8", 3, "signed char")
uint8 = DType("uint8", 1, "UINT8", 2, "unsigned char")
bool_ = DType("bool", 1, "BOOL", 9, "bool")

#: The floating-point types.
FLOAT_TYPES: tuple[DType, ...] = (float32, float16, bfloat16)
#: The types of plugin outputs: TensorRT refuses bool and uint8 there.
OUTPUT_TYPES: tuple[DType, ...] = (*FLOAT_TYPES, int64, int32, int8)
ALL: tuple[DType, ...] = (*OUTPUT_TYPES, uint8, bool_)

#: Types in which kernels count elements; no tensor has them.
_UINT32 = DType("uint32", 4, "", 0, "unsigned int")
_UINT64 = DType("uint64", 8, "", 0, "unsigned long long")
#: The C++ names of the types that :func:`offset_type` returns, for a kernel's ``constants``.
OFFSETS = (_UINT32.cpp, _UINT64.cpp)

_BY_NAME = {dtype.name: dtype for dtype in ALL}
_BY_ONNX = {dtype.onnx: dtype for dtype in ALL}
_BY_TRT = {dtype.trt: dtype for dtype in ALL}


def offset_type(*sizes: Dim) -> DType:
    """Return the type in which a kernel counts elements: 32 bits if every size is below 2^31."""
    return _UINT32 if max(sizes) < 2**31 else _UINT64


def dtype_from_numpy(numpy_dtype: object) -> DType:
    """Return the DType of a numpy dtype.

    Errors:
        PK120: TensorRT has no such tensor type.
    """
    import numpy as np

    return _look_up(_BY_NAME, np.dtype(numpy_dtype).name, "numpy dtype")  # type: ignore[call-overload]


def dtype_from_name(name: str) -> DType:
    """Return the DType of a name, ``"float32"``.

    Errors:
        PK120: no type has the name.
    """
    return _look_up(_BY_NAME, name, "name")


def dtype_from_onnx(elem_type: int) -> DType:
    """Return the DType of an ``onnx.TensorProto.DataType`` value.

    Errors:
        PK120: TensorRT has no such tensor type.
    """
    return _look_up(_BY_ONNX, elem_type, "ONNX elem_type")


def dtype_from_trt(name: str) -> DType:
    """Return the DType of a member name of ``tensorrt.DataType``, ``"HALF"``.

    Errors:
        PK120: plugins do not take the type.
    """
    return _look_up(_BY_TRT, name, "TensorRT DataType")


def _look_up(table: dict[Any, DType], key: object, system: str) -> DType:
    try:
        return table[key]
    except KeyError:
        names = ", ".join(dtype.name for dtype in ALL)
        raise TensorError(
            "PK120", f"{system} {key} is not a type that plugins take; expected one of {names}."
        ) from None
