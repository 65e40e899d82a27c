"""Parse immediate operands: numbers in PTX's notation."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np

from pluginkit.ptx.types import F32, F64, is_float


@lru_cache(maxsize=4096)
def number(text: str, dtype: np.dtype[Any], kind: str) -> Any:
    """Return an immediate operand as a scalar of ``dtype`` for an instruction of type ``kind``.

    After ``0f`` and ``0d`` come the bits of a float; integers wrap to the type's width.
    """
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("-")
    prefix = digits[:2].lower()
    if prefix == "0f" or prefix == "0d":
        fmt, dtype_of_bits = (">f", F32) if prefix == "0f" else (">d", F64)
        (value,) = struct.unpack(fmt, bytes.fromhex(digits[2:]))
        if np.isnan(value):  # struct would lose the payload of a float32
            unsigned = np.dtype(f"u{dtype_of_bits.itemsize}")
            scalar = unsigned.type(int(digits[2:], 16)).view(dtype_of_bits)
        else:
            scalar = dtype_of_bits.type(sign * value)
        return _reinterpreted(scalar, dtype)
    if "." in digits or (is_float(kind) and dtype.kind == "f" and not digits.startswith("0x")):
        value = sign * float(digits.rstrip("U"))
        return dtype.type(value) if dtype.kind == "f" else _reinterpreted(F32.type(value), dtype)
    integer = sign * parse_integer(digits)
    if dtype.kind == "b":
        return np.bool_(integer != 0)
    bits = integer & ((1 << 8 * dtype.itemsize) - 1)
    return np.dtype(f"u{dtype.itemsize}").type(bits).view(dtype)


def parse_integer(digits: str) -> int:
    """Parse a decimal, hexadecimal, octal or binary integer."""
    digits = digits.rstrip("Uu")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return int(digits, 8)
    return int(digits, 0)


def _reinterpreted(scalar: Any, dtype: np.dtype[Any]) -> Any:
    if scalar.dtype.itemsize == dtype.itemsize:
        return scalar.view(dtype)
    return scalar.astype(dtype)
