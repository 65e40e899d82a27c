"""Values of attributes: conversion to exact Python types, and to text that nothing truncates."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

#: What a text form begins with; a JSON document follows.
TEXT = "json:"
_BITS: tuple[object, ...] = (0, 1)


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        raise TypeError("is a bool, not an integer")
    number = value.__index__() if hasattr(value, "__index__") else None
    if number is None:
        raise TypeError(f"is a {type(value).__name__}, not an integer")
    if not -(2**63) <= number < 2**63:
        raise ValueError("does not fit in 64 bits")
    return int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise TypeError(f"is a {type(value).__name__}, not a float")
    return float(value)


def _to_str(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise TypeError(f"is a {type(value).__name__}, not a string")
    value.encode()  # a lone surrogate cannot travel
    return str(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError(f"is a {type(value).__name__}, not a bool")


#: For each scalar kind, what gives the exact Python value, or raises TypeError or ValueError.
SCALAR_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "float": _to_float,
    "str": _to_str,
    "bool": _to_bool,
}


def bools_from_ints(wire: Any) -> Any:
    """0 and 1, alone or in a sequence, as bools; anything else stays."""

    def one(item: Any) -> Any:
        return bool(item) if isinstance(item, Number) and item in _BITS else item

    return [one(item) for item in wire] if isinstance(wire, (list, tuple)) else one(wire)


def frozen_array(value: Any) -> Any:
    """A read-only, contiguous copy of an array.

    Errors:
        TypeError: it is no array, or of a dtype that has no fixed size.
    """
    import numpy as np

    if not isinstance(value, (np.ndarray, np.generic, list, tuple, int, float, bool)):
        raise TypeError(f"is a {type(value).__name__}, not an array")
    array = np.array(value, order="C")
    if array.dtype.hasobject or (array.dtype.kind in "USMmV" and array.dtype.name != "bfloat16"):
        raise TypeError(f"has dtype {array.dtype}, which cannot travel")
    array.setflags(write=False)
    return array


def fits_int32(value: Any) -> bool:
    """Whether 32 bits hold the integer."""
    return bool(-(2**31) <= value < 2**31)


def fits_float32(value: Any) -> bool:
    """Whether float32 holds the number exactly."""
    if not math.isfinite(value):
        return False
    try:
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except OverflowError:
        return False


def text_from_document(document: Any) -> str:
    """The text form of a JSON document."""
    return TEXT + json.dumps(document, separators=(",", ":"))


def document_from_array(array: Any) -> Mapping[str, Any]:
    """An array as a JSON document: dtype, shape and little-endian data in base64."""
    data = base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data.decode()}


def value_from_document(document: Any) -> Any:
    """The array, or the plain value, that a JSON document stands for."""
    if not isinstance(document, dict):
        return document
    import numpy as np

    if document["dtype"] == "bfloat16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(str(document["dtype"])).newbyteorder("<")
    data = base64.b64decode(document["data"], validate=True)
    return np.frombuffer(data, dtype).reshape(document["shape"]).astype(dtype.newbyteorder("="))
