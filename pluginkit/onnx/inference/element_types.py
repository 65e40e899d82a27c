"""Name the element types of ONNX tensors as numpy does: "float32", "int64", "bfloat16"."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

#: The floating-point types with which TensorRT computes.
FLOATS = ("float32", "float16", "bfloat16")
#: The integer types that TensorRT's tensors may have.
INTEGERS = ("uint8", "int8", "int32", "int64")
#: Integers that no engine takes or gives, and those in which it holds their values, or their bits.
WIDER_TYPES = {"int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}

#: ONNX calls these differently; of all others numpy's name is ONNX's in small letters.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


@cache
def dtype_of_elem_type(elem_type: int) -> str:
    """Return the name of an ``onnx.TensorProto`` data type; "type 99" for an unknown number."""
    types = onnx.TensorProto.DataType
    if elem_type not in types.values():
        return f"type {elem_type}"
    name = str(types.Name(elem_type)).lower()
    return _NUMPY_NAMES.get(name, name)


@cache
def elem_type(dtype: str) -> int:
    """Return the ``onnx.TensorProto`` data type of a name.

    Errors:
        ValueError: no type has this name.
    """
    for number in onnx.TensorProto.DataType.values():
        if number and dtype_of_elem_type(number) == dtype:
            return int(number)
    raise ValueError(f"'{dtype}' is no element type; expected a name such as 'float32'")


def in_dtype(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Convert an array; finite numbers beyond the range of a floating-point dtype stay finite."""
    if not dtype.startswith("float"):
        return array.astype(dtype)
    limits = np.finfo(dtype)
    clipped = np.clip(array, float(limits.min), float(limits.max))
    return np.where(np.isfinite(array), clipped, array).astype(dtype)
