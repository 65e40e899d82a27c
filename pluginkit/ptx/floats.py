"""Floating-point arithmetic that numpy lacks: exact fma, rounding modes, flushing, bfloat16.

Most results are first computed in float64 and *rounded to odd*: an inexact result gets its last bit
set. A second rounding to at most 24 bits then gives the same as one rounding of the exact value.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from pluginkit.ptx.types import F16, F32, F64, S64, U16, U32, U64, Value

_TINY32, _TINY64 = np.float32(2.0**-126), np.float64(2.0**-1022)
_SPLIT = np.float64(2.0**27 + 1)
_LARGE, _SMALL = 2.0**500, 2.0**-400
ROUNDINGS = ("rn", "rz", "rm", "rp", "rna")


def flush(x: Value) -> Value:
    """Replace denormal float32 or float64 numbers by zeros of the same sign."""
    is_small = np.abs(x) < (_TINY32 if x.dtype == F32 else _TINY64)
    if not _any_but_zeros(is_small, x):
        return x
    return np.where(is_small, np.copysign(x.dtype.type(0), x), x)


def _any_but_zeros(is_small: Value, x: Value) -> bool:
    """Return whether any element of ``x`` that is small, as all zeros are, is not zero.

    Most often none is. numpy counts booleans several times as fast as ``any`` finds one.
    """
    count = np.count_nonzero(is_small)
    return bool(count > 0 and count != np.count_nonzero(x == 0))


def flush_rounded(x: Value, exact: Callable[[], Value], mode: str) -> Value:
    """Flush float32 results as a GPU does: by their value after rounding to 24 bits.

    A denormal has fewer than 24 bits, so that a value just below 2^-126 can be rounded up to
    2^-126, which is normal. The GPU rounds to 24 bits first, finds a value below 2^-126, and
    flushes it.

    Args:
        x: the rounded results.
        exact: returns the same results in float64, exact or rounded to odd.
        mode: how ``x`` was rounded.
    """
    x = flush(x)
    is_edge = np.abs(x) == _TINY32
    if not np.count_nonzero(is_edge):
        return x
    scale = 2.0**64  # far from the denormals, where float32 has all 24 bits
    is_tiny = np.abs(round32(exact() * scale, mode)) < np.float32(2.0**-126 * scale)
    return np.where(is_edge & is_tiny, np.copysign(np.float32(0), x), x)


def to_odd(total: Value, rest: Value) -> Value:
    """Return ``total + rest`` rounded to odd: a sum rounded to nearest, and its exact error."""
    is_inexact = (rest != 0) & np.isfinite(total)
    if not np.count_nonzero(is_inexact):
        return total
    total, rest, is_inexact = np.broadcast_arrays(total, rest, is_inexact)
    bits = np.array(total).view(S64)
    is_too_large = np.signbit(rest) != np.signbit(total)
    bits = bits - (is_inexact & is_too_large) | is_inexact
    return bits.view(F64)


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """Return ``a + b`` in float64, and its rounding error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _split(a: Value) -> tuple[Value, Value]:
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high


def two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """Return ``a * b`` in float64, and its rounding error; exact unless something overflows."""
    product = a * b
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def add_odd(a: Value, b: Value) -> Value:
    """``a + b`` in float64, rounded to odd."""
    return to_odd(*two_sum(a, b))


def fma_odd(a: Value, b: Value, c: Value) -> Value:
    """Return ``a * b + c`` of float32 or smaller values, in float64, rounded to odd."""
    a, b, c = (x.astype(F64) for x in (a, b, c))
    return add_odd(a * b, c)  # 24 bits by 24 bits fit into 53


def fma32(a: Value, b: Value, c: Value) -> Value:
    """``a * b + c`` in float32, rounded once, to nearest even."""
    total = a.astype(F64) * b.astype(F64) + c.astype(F64)
    bits = total.view(U64)
    is_tie = (bits & U64.type(0x1FFFFFFF)) == U64.type(0x10000000)
    # Only then can a second rounding differ. A total of zero is exact.
    if np.count_nonzero(is_tie) or _any_but_zeros(np.abs(total) < 2.0**-125, total):
        return fma_odd(a, b, c).astype(F32)
    return total.astype(F32)


def fma64_rounded(a: Value, b: Value, c: Value, mode: str) -> Value:
    """``a * b + c`` in float64 in one of the rounding modes."""
    nearest, left = _fma64_parts(a, b, c)
    if mode == "rm":  # a sum of opposite numbers is -0
        is_opposite = np.signbit(a) ^ np.signbit(b) ^ np.signbit(c)
        nearest = np.where((nearest == 0) & (left == 0) & is_opposite, -0.0, nearest)
    return round64(nearest, left, mode)


def product64_rounded(a: Value, b: Value, mode: str) -> Value:
    """``a * b`` in float64 in one of the rounding modes."""
    return round64(*_fma64_parts(a, b, np.float64(-0.0)), mode)


def _fma64_parts(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Return the result to nearest, and the sign of the exact result minus it."""
    a, b, c = (np.atleast_1d(x) for x in np.broadcast_arrays(a, b, c))
    high, low = two_product(a, b)
    c_high, c_low = two_sum(c, low)
    total, rest = two_sum(high, c_high)
    tail = add_odd(c_low, rest)
    nearest, left = two_sum(total, tail)
    sizes = [np.abs(x) for x in (a, b, c, high, nearest)]
    is_safe = np.ones(a.shape, bool)
    for size in sizes:
        is_safe &= (size < _LARGE) & ((size > _SMALL) | (size == 0))
    is_safe &= (high != 0) | (a == 0) | (b == 0)
    for index in np.flatnonzero(~is_safe):
        nearest[index], left[index] = _exact(a[index], b[index], c[index])
    zero = ((a == 0) | (b == 0)) & (c == 0)
    nearest = np.where(zero, a * b + c, nearest)
    return nearest, left


def _exact(a: Any, b: Any, c: Any) -> tuple[float, float]:
    if not np.isfinite(a) or not np.isfinite(b):
        return float(a * b + c), 0.0
    if not np.isfinite(c):
        return float(c), 0.0  # the product of finite numbers is finite, however large
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    try:
        nearest = float(exact)  # Python rounds to nearest even, denormals included
    except OverflowError:
        return (float("inf"), -1.0) if exact > 0 else (float("-inf"), 1.0)
    if exact == 0:
        return float(a * b + c), 0.0
    left = exact - Fraction(nearest)
    if nearest == 0:
        nearest = 0.0 if exact > 0 else -0.0
    return nearest, float((left > 0) - (left < 0))


def round64(nearest: Value, left: Value, mode: str) -> Value:
    """Return a float64 in a rounding mode, from the nearest one and the sign of its error."""
    if mode == "rn":
        return nearest
    return _directed(nearest, left > 0, left < 0, mode)


def round32(x: Value, mode: str) -> Value:
    """Round a float64 that is exact, or rounded to odd, to float32."""
    nearest = x.astype(F32)
    if mode == "rn":
        return nearest
    back = nearest.astype(F64)
    result = _directed(nearest, x > back, x < back, mode)
    return result.astype(F32)


def _directed(nearest: Value, is_above: Value, is_below: Value, mode: str) -> Value:
    """Move to a neighbour where a mode asks for it, given on which side the exact value lies."""
    up = np.nextafter(nearest, nearest.dtype.type(np.inf))
    down = np.nextafter(nearest, nearest.dtype.type(-np.inf))
    if mode == "rm":
        return np.where(is_below, down, nearest)
    if mode == "rp":
        return np.where(is_above, up, nearest)
    result = np.where(is_below & (nearest > 0), down, nearest)
    return np.where(is_above & (nearest < 0), up, result)


def sum_parts(a: Value, b: Value) -> tuple[Value, Value]:
    """Return ``a + b`` in float64 to nearest, and the sign of the exact sum minus it."""
    total, left = two_sum(a, b)
    return total, _overflowed(total, left, np.isfinite(a) & np.isfinite(b))


def divide_parts(a: Value, b: Value) -> tuple[Value, Value]:
    """Return ``a / b`` in float64 to nearest, and the sign of the exact quotient minus it."""
    quotient = a / b
    left = _sign_of_fma(-quotient, b, a) * np.sign(b)
    return quotient, _overflowed(quotient, left, np.isfinite(a) & (b != 0))


def sqrt_parts(a: Value) -> tuple[Value, Value]:
    """Return the root in float64 to nearest, and the sign of the exact root minus it."""
    root = np.sqrt(a)
    return root, _overflowed(root, _sign_of_fma(-root, root, a), False)


def _sign_of_fma(a: Value, b: Value, c: Value) -> Value:
    nearest, left = _fma64_parts(a, b, c)
    return np.where(nearest != 0, np.sign(nearest), left)


def _overflowed(nearest: Value, left: Value, is_finite: Value) -> Value:
    """Return the sign of the error, also where finite operands overflowed to infinity."""
    beyond = np.where(np.isinf(nearest) & is_finite, -np.sign(nearest), 0.0)
    return np.where(np.isfinite(nearest) & ~np.isnan(left), np.sign(left), beyond)


def float32_from_half(bits: Value) -> Value:
    """Convert float16 bits to float32."""
    return bits.view(F16).astype(F32)


def half_from_float(x: Value, mode: str = "rn") -> Value:
    """Round float32, or float64 that is rounded to odd, to float16 bits; NaN is 0x7FFF."""
    nearest = x.astype(F16)
    if mode != "rn":
        back = nearest.astype(F64)
        nearest = _directed(nearest, x > back, x < back, mode).astype(F16)
    return np.where(np.isnan(x), U16.type(0x7FFF), nearest.view(U16))


def float32_from_bf16(bits: Value) -> Value:
    """Convert bfloat16 bits to float32."""
    return (bits.astype(U32) << U32.type(16)).view(F32)


def bf16_from_float(x: Value, mode: str = "rn") -> Value:
    """Round float32, or float64 that is rounded to odd, to bfloat16 bits; NaN is 0x7FFF."""
    if x.dtype == F64:
        x32 = x.astype(F32)
        back = x32.astype(F64)
        zero = _directed(x32, x > back, x < back, "rz").astype(F32)
        x = (zero.view(U32) | (zero.astype(F64) != x)).astype(U32).view(F32)
    bits = x.view(U32)
    low = bits & U32.type(0xFFFF)
    high = bits >> U32.type(16)
    is_negative = np.signbit(x)
    if mode == "rn":
        step = (low + (high & U32.type(1))) > U32.type(0x8000)
    elif mode == "rna":
        step = low >= U32.type(0x8000)
    elif mode == "rz":
        step = np.zeros_like(is_negative)
    else:
        step = (low != 0) & (is_negative == (mode == "rm"))
    rounded = (high + step).astype(U16)
    return np.where(np.isnan(x), U16.type(0x7FFF), rounded)


def saturate(x: Value) -> Value:
    """Clamp to 0 to 1; NaN becomes +0."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    return np.where(x >= one, one, np.where(x > zero, x, zero))


def relu(x: Value) -> Value:
    """Replace negative numbers and -0 by +0; NaN stays."""
    return np.where(x > 0, x, np.where(np.isnan(x), x, x.dtype.type(0)))


def minimum(a: Value, b: Value) -> Value:
    """Return the smaller one, or the number where the other is NaN; -0 is below +0."""
    result = np.fmin(a, b)
    both_zero = (a == 0) & (b == 0)
    if both_zero.any():
        zero = np.where(np.signbit(a) | np.signbit(b), -result.dtype.type(0), result.dtype.type(0))
        result = np.where(both_zero, zero, result)
    return result


def maximum(a: Value, b: Value) -> Value:
    """Return the larger one, or the number where the other is NaN; +0 is above -0."""
    return -minimum(-a, -b)
