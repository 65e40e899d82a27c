"""Integer arithmetic; it wraps, as numpy's does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import DTYPES, S64, SIGNED, U32, U64, UNSIGNED, Value, is_float, is_signed

_WIDER = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def _integer(instruction: Instruction) -> str:
    kind = type_of(instruction)
    return "" if is_float(kind) or kind == "pred" else kind


@describes("add", "sub")
def add_or_subtract(instruction: Instruction) -> Compute | None:
    """``add``, ``sub``; ``.sat`` for s32."""
    kind = _integer(instruction)
    if not kind or "x" in kind:
        return None
    plain = np.add if instruction.opcode == "add" else np.subtract
    if not instruction.has("sat"):
        return Compute(plain, (kind, kind), kind)

    def saturating(a: Value, b: Value) -> Value:
        return np.clip(plain(a.astype(S64), b.astype(S64)), -(2**31), 2**31 - 1).astype(a.dtype)

    return Compute(saturating, (kind, kind), kind)


def _part(instruction: Instruction) -> str:
    return instruction.one_of(("lo", "hi", "wide"), "lo")


def _product(kind: str, part: str) -> Callable[[Value, Value], Value]:
    if part == "lo":
        return np.multiply
    if part == "wide":
        wide = DTYPES[_WIDER[kind]]
        return lambda a, b: a.astype(wide) * b.astype(wide)
    if kind in _WIDER:
        wide, bits = DTYPES[_WIDER[kind]], 8 * DTYPES[kind].itemsize
        shift, narrow = wide.type(bits), DTYPES[kind]
        return lambda a, b: (a.astype(wide) * b.astype(wide) >> shift).astype(narrow)
    return _high_signed if is_signed(kind) else _high


def _high(a: Value, b: Value) -> Value:
    """Return the upper 64 bits of the product of two u64."""
    mask, half = U64.type(0xFFFFFFFF), U64.type(32)
    a0, a1, b0, b1 = a & mask, a >> half, b & mask, b >> half
    low, first, second = a0 * b0, a1 * b0, a0 * b1
    carry = ((low >> half) + (first & mask) + (second & mask)) >> half
    return a1 * b1 + (first >> half) + (second >> half) + carry


def _high_signed(a: Value, b: Value) -> Value:
    ua, ub = a.view(U64), b.view(U64)
    zero = U64.type(0)
    high = _high(ua, ub) - np.where(a < 0, ub, zero) - np.where(b < 0, ua, zero)
    return high.view(S64)


def product_of(instruction: Instruction) -> Callable[[Value, Value], Value]:
    """Return the multiplication of an instruction's type and ``.lo``, ``.hi`` or ``.wide``."""
    return _product(type_of(instruction), _part(instruction))


@describes("mul")
def multiply(instruction: Instruction) -> Compute | None:
    """``mul.lo``, ``mul.hi``, ``mul.wide``."""
    kind = _integer(instruction)
    if not kind or "x" in kind:
        return None
    part = _part(instruction)
    return Compute(_product(kind, part), (kind, kind), _WIDER[kind] if part == "wide" else kind)


@describes("mad")
def multiply_add(instruction: Instruction) -> Compute | None:
    """``mad.lo``, ``mad.hi``, ``mad.wide``."""
    kind = _integer(instruction)
    if not kind or instruction.has("sat"):
        return None
    part = _part(instruction)
    product = _product(kind, part)
    result = _WIDER[kind] if part == "wide" else kind
    return Compute(lambda a, b, c: product(a, b) + c, (kind, kind, result), result)


@describes("mul24", "mad24")
def multiply_24(instruction: Instruction) -> Compute | None:
    """``mul24``, ``mad24``: products of the lower 24 bits."""
    kind = type_of(instruction)
    signed, shift = is_signed(kind), 16 if instruction.has("hi") else 0

    def low(a: Value) -> Value:
        wide = (a.view(U32) & U32.type(0xFFFFFF)).astype(S64)
        return np.where(wide >= 2**23, wide - 2**24, wide) if signed else wide

    def product(a: Value, b: Value) -> Value:
        return (low(a) * low(b) >> S64.type(shift)).astype(U32).view(DTYPES[kind])

    if instruction.opcode == "mul24":
        return Compute(product, (kind, kind), kind)
    if instruction.has("sat"):
        return None
    return Compute(lambda a, b, c: product(a, b) + c, (kind, kind, kind), kind)


@describes("min", "max")
def smaller_or_larger(instruction: Instruction) -> Compute | None:
    """``min``, ``max``, with ``.relu`` for s32."""
    kind = _integer(instruction)
    if not kind or "x" in kind:
        return None
    function: Callable[..., Value] = np.minimum if instruction.opcode == "min" else np.maximum
    if instruction.has("relu"):
        zero, plain = DTYPES[kind].type(0), function
        return Compute(lambda a, b: np.maximum(plain(a, b), zero), (kind, kind), kind)
    return Compute(function, (kind, kind), kind)


@describes("abs")
def absolute(instruction: Instruction) -> Compute | None:
    """``abs``; it returns the most negative number unchanged."""
    kind = _integer(instruction)
    return Compute(np.abs, (kind,), kind) if kind else None


@describes("neg")
def negate(instruction: Instruction) -> Compute | None:
    """``neg``."""
    kind = _integer(instruction)
    return Compute(np.negative, (kind,), kind) if kind else None


@describes("sad")
def sum_of_differences(instruction: Instruction) -> Compute:
    """``sad``: the third source plus the absolute difference of the first two."""
    kind = type_of(instruction)
    return Compute(lambda a, b, c: c + np.where(a < b, b - a, a - b), (kind, kind, kind), kind)


@describes("div", "rem")
def divide(instruction: Instruction) -> Compute | None:
    """``div``, ``rem``, towards zero. A quotient by zero has all bits set, as on a GPU."""
    kind = _integer(instruction)
    if not kind:
        return None
    dtype = DTYPES[kind]
    ones = UNSIGNED[dtype.itemsize].type((1 << 8 * dtype.itemsize) - 1).view(dtype)
    one = dtype.type(1)

    def remainder(a: Value, b: Value) -> Value:
        return np.where(b == 0, a, np.fmod(a, np.where(b == 0, one, b)))

    def quotient(a: Value, b: Value) -> Value:
        safe = np.where(b == 0, one, b)
        result = (a - np.fmod(a, safe)) // safe if is_signed(kind) else a // safe
        return np.where(b == 0, ones, result)

    function = quotient if instruction.opcode == "div" else remainder
    return Compute(function, (kind, kind), kind)


@describes("dp4a", "dp2a")
def dot_product(instruction: Instruction) -> Compute:
    """``dp4a``, ``dp2a``: sums of products of bytes, and of halves by bytes, into 32 bits."""
    types = [each for each in instruction.modifiers if each in DTYPES]
    first, second = types[0], types[-1]
    is_four = instruction.opcode == "dp4a"
    offset = 2 if instruction.has("hi") and not is_four else 0

    def part(value: Value, index: int, kind: str, size: int) -> Value:
        narrow = (SIGNED if is_signed(kind) else UNSIGNED)[size]
        shifted = value >> U32.type(8 * size * index)
        return shifted.astype(UNSIGNED[size]).view(narrow).astype(S64)

    def dot(a: Value, b: Value, c: Value) -> Value:
        total = c.astype(S64)
        for index in range(4 if is_four else 2):
            left = part(a, index, first, 1 if is_four else 2)
            total = total + left * part(b, index + offset, second, 1)
        return total.astype(U32)

    result = "s32" if "s32" in (first, second) else "u32"
    return Compute(dot, ("b32", "b32", result), "b32")


@describes("fns")
def nth_one(instruction: Instruction) -> Compute:
    """``fns``: the position of the n-th bit that is set from a base on, up or down."""

    def found(mask: Value, base: Value, offset: Value) -> Value:
        mask, base, offset = np.broadcast_arrays(mask, base, offset)
        left = np.maximum(np.abs(offset.astype(S64)), 1)
        position, result = base.astype(S64), np.full(mask.shape, 0xFFFFFFFF, U32)
        for _ in range(32):
            is_inside = (position >= 0) & (position < 32)
            is_set = is_inside & (mask >> np.where(is_inside, position, 0).astype(U32) & 1 != 0)
            left = left - (is_set & (left > 0))
            result = np.where(is_set & (left == 0), position.astype(U32), result)
            left = np.where(is_set & (left == 0), -1, left)
            position = position + np.sign(offset)
        return result[()]

    return Compute(found, ("b32", "u32", "s32"), "b32")
