"""``cvt``: conversions between types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pluginkit.ptx import floats, nans
from pluginkit.ptx.operations import float8
from pluginkit.ptx.operations.packed import high, join, low
from pluginkit.ptx.operations.registry import Compute, describes
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import DTYPES, F32, F64, UNSIGNED, ComputeFunction, Value, is_float

_TO_INTEGRAL: dict[str, ComputeFunction] = {
    "rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil,
}  # fmt: skip
_WIDEN: dict[str, ComputeFunction] = {
    "f16": floats.float32_from_half,
    "bf16": floats.float32_from_bf16,
    "f32": lambda a: a,
    "f64": lambda a: a,
}


@describes("cvt")
def convert(instruction: Instruction) -> Compute | None:
    """``cvt`` between scalar types, of two f32 into one register, and of pairs of 8-bit numbers."""
    types = [each for each in instruction.modifiers if each in DTYPES]
    if len(types) != 2:
        return None
    to, source = types
    if to.removesuffix("x2") in float8.FORMATS or source.removesuffix("x2") in float8.FORMATS:
        return _pair(instruction, to, source)
    if instruction.has("satfinite"):
        return None
    if to in ("f16x2", "bf16x2") and source == "f32":
        return _pack(instruction, to)
    if to == "tf32" and source == "f32":
        return Compute(_tf32, (source,), "b32") if instruction.has("rna") else None
    if "x" in to + source or "tf32" in types:
        return None
    function = _function(instruction, to, source)
    return None if function is None else Compute(function, (source,), to)


def _function(instruction: Instruction, to: str, source: str) -> ComputeFunction | None:
    if is_float(source):
        if is_float(to):
            return _float_to_float(instruction, to, source)
        return _float_to_integer(instruction, to, source)
    if is_float(to):
        return _integer_to_float(instruction, to)
    return _integer_to_integer(instruction, to)


def _integer_to_integer(instruction: Instruction, to: str) -> ComputeFunction:
    dtype = DTYPES[to]
    if not instruction.has("sat"):
        return lambda a: a.astype(dtype)
    low, high = _limits(dtype)

    def saturating(a: Value) -> Value:
        lowest, highest = _limits(a.dtype)
        return np.clip(a, a.dtype.type(max(low, lowest)), a.dtype.type(min(high, highest))).astype(
            dtype
        )

    return saturating


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest and the largest integer of a type."""
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _float_to_integer(instruction: Instruction, to: str, source: str) -> ComputeFunction:
    """Values out of range are clamped; NaN gives 0, or only the top bit if 64 bits are involved."""
    integral = _TO_INTEGRAL[instruction.one_of(tuple(_TO_INTEGRAL), "rzi")]
    widen, dtype = _WIDEN[source], DTYPES[to]
    (low, high), flushes = _limits(dtype), instruction.has("ftz")
    bits = 8 * dtype.itemsize
    is_long = source == "f64" or bits == 64
    of_nan = UNSIGNED[dtype.itemsize].type(1 << (bits - 1) if is_long else 0).view(dtype)

    def convert_to(a: Value) -> Value:
        x = widen(a)
        x = integral((floats.flush(x) if flushes else x).astype(F64))
        below, above = x < float(low), x >= float(high) + (bits < 64)
        is_outside = below | above | np.isnan(x)
        inside = np.where(is_outside, 0.0, x).astype(dtype)
        if not is_outside.any():
            return inside
        ends = np.where(below, dtype.type(low), dtype.type(high))
        return np.where(np.isnan(x), of_nan, np.where(is_outside, ends, inside))

    return convert_to


def _integer_to_float(instruction: Instruction, to: str) -> ComputeFunction:
    mode = instruction.one_of(floats.ROUNDINGS, "rn")
    narrow = _narrow(to, mode)
    if to in ("f32", "f64") and mode == "rn":
        dtype = DTYPES[to]
        return lambda a: a.astype(dtype)

    def exact(a: Value) -> Value:
        high = (a >> a.dtype.type(11) << a.dtype.type(11)) if a.dtype.itemsize == 8 else a
        total, rest = high.astype(F64), (a - high).astype(F64)
        if to == "f64":
            nearest, left = floats.two_sum(total, rest)
            return floats.round64(nearest, left, mode)
        return narrow(floats.to_odd(*floats.two_sum(total, rest)))

    return exact


def _narrow(to: str, mode: str) -> ComputeFunction:
    """Return a function that rounds a float32, or a float64 that is exact or rounded to odd."""
    if to == "f16":
        return lambda x: floats.half_from_float(x, mode)
    if to == "bf16":
        return lambda x: floats.bf16_from_float(x, mode)
    if to == "f32":
        return lambda x: x if x.dtype == F32 else floats.round32(x, mode)
    return lambda x: x.astype(F64)


def _float_to_float(instruction: Instruction, to: str, source: str) -> ComputeFunction:
    mode = instruction.one_of(floats.ROUNDINGS, "rn")
    integral = _TO_INTEGRAL.get(instruction.one_of(tuple(_TO_INTEGRAL)))
    widen, narrow = _WIDEN[source], _narrow(to, mode)
    flushes, saturates = instruction.has("ftz"), instruction.has("sat")
    prepare = _before(instruction)
    keeps_bits = to == source and not (integral or flushes or saturates)
    keeps_payload = "f64" in (to, source) and to != "bf16"
    only_widens = (to, source) == ("f32", "bf16") and not instruction.has("relu")

    def convert_to(a: Value) -> Value:
        x = widen(a)
        if flushes and source == "f32":
            x = nans.canonical(floats.flush(x))  # the GPU flushes in a separate instruction
        if integral is not None:
            x = integral(x)
        if saturates:
            x = floats.saturate(x)
        result = narrow(prepare(x))
        if keeps_payload:
            result = nans.converted(result, x, to)
        elif to == "f32" and not only_widens:
            result = nans.canonical(result)
        if flushes and to == "f32":
            return floats.flush_rounded(result, lambda: x.astype(F64), mode)
        return result

    return (lambda a: a) if keeps_bits else convert_to


def _before(instruction: Instruction) -> ComputeFunction:
    """Return what happens to a number before it is rounded."""
    return floats.relu if instruction.has("relu") else lambda x: x


def _pack(instruction: Instruction, to: str) -> Compute:
    """Describe the conversion of two f32 to one word; the first becomes the upper half."""
    mode = instruction.one_of(floats.ROUNDINGS, "rn")
    narrow: Callable[..., Value] = (
        floats.half_from_float if to == "f16x2" else floats.bf16_from_float
    )
    prepare = _before(instruction)

    def both(upper: Value, lower: Value) -> Value:
        return join(*(narrow(prepare(x), mode) for x in (lower, upper)))

    return Compute(both, ("f32", "f32"), to)


def _pair(instruction: Instruction, to: str, source: str) -> Compute | None:
    """Describe conversions of pairs of 8-bit numbers: to f16x2, and from it or from two f32."""
    prepare = _before(instruction)
    if to == "f16x2":
        form = float8.FORMATS[source.removesuffix("x2")]

        def widened(register: Value) -> Value:
            upper, lower = (form.widened(bits) for bits in float8.parts(register))
            return join(*(floats.half_from_float(prepare(x)) for x in (lower, upper)))

        return Compute(widened, (source,), to)
    if to not in ("e4m3x2", "e5m2x2") or source not in ("f32", "f16x2"):
        return None
    into = float8.FORMATS[to.removesuffix("x2")]

    def narrowed(*given: Value) -> Value:
        if len(given) == 1:
            given = tuple(floats.float32_from_half(part(given[0])) for part in (high, low))
        return float8.pair(*(into.narrowed(prepare(x)) for x in given))

    return Compute(narrowed, ("f32", "f32") if source == "f32" else (source,), to)


def _tf32(a: Value) -> Value:
    """Round f32 to 10 bits of mantissa, ties away from zero."""
    bits = a.view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(a), rounded, np.where(np.isnan(a), np.uint32(0x7FFFFFFF), bits))
