"""Convert the values of attributes that are arrays, and everything that travels as JSON text."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

#: A wire form that begins with this continues with a JSON document.
JSON_PREFIX = "json:"


def is_json_text(wire: Any) -> bool:
    """Whether a wire form is a JSON document."""
    return isinstance(wire, str) and wire.startswith(JSON_PREFIX)


def json_text(document: Any) -> str:
    """Return a JSON document as a wire form."""
    return JSON_PREFIX + json.dumps(document, separators=(",", ":"))


def value_from_json_text(wire: str) -> Any:
    """Return the plain value or array that a JSON wire form holds.

    Errors:
        ValueError, LookupError, TypeError, OverflowError, RecursionError: the text is damaged.
    """
    document = json.loads(wire.removeprefix(JSON_PREFIX))
    return _array_from_document(document) if isinstance(document, dict) else document


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


def frozen_array(value: Any) -> Any:
    """Return a read-only, contiguous copy of an array.

    Errors:
        TypeError: the value is no array, or its dtype has no fixed size.
    """
    import numpy as np

    if not isinstance(value, (np.ndarray, np.generic, list, tuple, int, float, bool)):
        raise TypeError(f"is a {type(value).__name__}, not an array")
    array = np.array(value, order="C")
    if array.dtype.hasobject or (array.dtype.kind in "USMmV" and array.dtype.name != "bfloat16"):
        raise TypeError(f"has dtype {array.dtype}, which cannot travel")
    array.setflags(write=False)
    return array


def document_from_array(array: Any) -> Mapping[str, Any]:
    """Return an array as a JSON document: dtype, shape and little-endian data in base64."""
    data = base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data.decode()}


def _array_from_document(document: Mapping[str, Any]) -> Any:
    import numpy as np

    if document["dtype"] == "bfloat16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(str(document["dtype"])).newbyteorder("<")
    data = base64.b64decode(document["data"], validate=True)
    return np.frombuffer(data, dtype).reshape(document["shape"]).astype(dtype.newbyteorder("="))
