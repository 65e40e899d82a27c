"""Give NaN results the bits that a GPU gives them.

Arithmetic on f32, f16 and bf16 returns one canonical NaN, whatever the operands are. Arithmetic on
f64 propagates the NaN of an operand and makes it quiet, and ``cvt`` to or from f64 keeps the upper
bits of the payload. The PTX manual says only that f64 supports payloads; the rest was measured on
an H200.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.types import F32, F64, U16, U32, U64, Value

#: The bits of the canonical NaN of f32, and of an f64 NaN that comes from no operand.
CANONICAL_F32 = 0x7FFFFFFF
DEFAULT_F64 = 0xFFF8000000000000

_QUIET_F64 = U64.type(0x0008000000000000)
_PAYLOAD_F64 = U64.type(0x000FFFFFFFFFFFFF)

#: For each type the integers that hold its bits, a quiet NaN, and by how many bits its payload is
#: shorter than that of f64.
_FORMATS = {
    "f64": (U64, 0x7FF8000000000000, 0),
    "f32": (U32, 0x7FC00000, 29),
    "f16": (U16, 0x7E00, 42),
}


def canonical(x: Value) -> Value:
    """Replace every NaN in a float32 array by 0x7FFFFFFF."""
    is_nan = np.isnan(x)
    if not np.count_nonzero(is_nan):
        return x
    return np.where(is_nan, U32.type(CANONICAL_F32).view(F32), x)


def propagated(result: Value, *operands: Value) -> Value:
    """Replace every NaN in a float64 result by the first NaN among its operands, made quiet.

    Where no operand is NaN (infinity minus infinity, zero times infinity) the result is
    0xFFF8000000000000.
    """
    is_nan = np.isnan(result)
    if not np.count_nonzero(is_nan):
        return result
    bits: Value = U64.type(DEFAULT_F64)
    for operand in reversed(operands):
        bits = np.where(np.isnan(operand), operand.view(U64) | _QUIET_F64, bits)
    return np.where(is_nan, bits.view(F64), result)


def converted(result: Value, x: Value, to: str) -> Value:
    """Replace the results of ``cvt`` where ``x`` is NaN by a quiet NaN with its sign and payload.

    Args:
        result: float64 or float32, or the bits of float16.
        x: the float64 or float32 that was converted.
        to: the result's PTX type.
    """
    is_nan = np.isnan(x)
    if not np.count_nonzero(is_nan):
        return result
    if x.dtype == F64:
        payload = x.view(U64) & _PAYLOAD_F64
    else:
        payload = x.view(U32).astype(U64) << U64.type(29) & _PAYLOAD_F64
    holder, quiet, fewer = _FORMATS[to]
    sign = np.signbit(x).astype(holder) << holder.type(8 * holder.itemsize - 1)
    nan = (payload >> U64.type(fewer)).astype(holder) | holder.type(quiet) | sign
    return np.where(is_nan, nan.view(result.dtype), result)
