"""Logic, shifts, bit fields, bit counts and permutations of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.immediates import parse_integer
from pluginkit.ptx.text.syntax import Immediate, Instruction
from pluginkit.ptx.types import DTYPES, S32, U8, U32, U64, UNSIGNED, Value, is_signed

_LOGIC = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
_BYTES = np.arange(256, dtype=np.uint8)
_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], U8)


@describes("and", "or", "xor")
def logic(instruction: Instruction) -> Compute:
    """Bitwise logic, also on predicates."""
    kind = type_of(instruction)
    return Compute(_LOGIC[instruction.opcode], (kind, kind), kind)


@describes("not")
def invert(instruction: Instruction) -> Compute:
    """``not``."""
    kind = type_of(instruction)
    return Compute(np.invert, (kind,), kind)


@describes("cnot")
def logical_not(instruction: Instruction) -> Compute:
    """``cnot``: 1 for zero, 0 for everything else."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    return Compute(lambda a: (a == 0).astype(dtype), (kind,), kind)


@describes("shl", "shr")
def shift(instruction: Instruction) -> Compute:
    """Shifts; an amount of the width or more shifts everything out."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    bits = U32.type(8 * dtype.itemsize)
    operation = np.left_shift if instruction.opcode == "shl" else np.right_shift
    zero, is_arithmetic = dtype.type(0), instruction.opcode == "shr" and is_signed(kind)

    def shifted(a: Value, amount: Value) -> Value:
        if not isinstance(amount, np.ndarray) and amount < bits:
            return operation(a, dtype.type(amount))
        last = np.minimum(amount, bits - U32.type(1)).astype(dtype)
        result = operation(a, last)
        is_beyond = amount >= bits
        if not is_beyond.any():
            return result
        filling = a >> dtype.type(bits - 1) if is_arithmetic else zero
        return np.where(is_beyond, filling, result)

    return Compute(shifted, (kind, "u32"), kind)


@describes("shf")
def funnel_shift(instruction: Instruction) -> Compute:
    """``shf``: a shift through two words."""
    is_left, clamps = instruction.has("l"), instruction.has("clamp")
    half, mask = U64.type(32), U32.type(31)

    def shifted(low: Value, high: Value, amount: Value) -> Value:
        n = np.minimum(amount, U32.type(32)) if clamps else amount & mask
        both = high.astype(U64) << half | low
        if is_left:
            return (both << n.astype(U64) >> half).astype(U32)
        return (both >> n.astype(U64)).astype(U32)

    return Compute(shifted, ("b32", "b32", "u32"), "b32")


@describes("popc")
def count_ones(instruction: Instruction) -> Compute:
    """``popc``."""
    return Compute(lambda a: np.bitwise_count(a).astype(U32), (type_of(instruction),), "u32")


def _spread(a: Value) -> Value:
    """Set all bits below the highest one that is set."""
    dtype = a.dtype
    for step in (1, 2, 4, 8, 16, 32):
        if step < 8 * dtype.itemsize:
            a = a | a >> dtype.type(step)
    return a


@describes("clz")
def leading_zeros(instruction: Instruction) -> Compute:
    """``clz``."""
    kind = type_of(instruction)
    bits = U32.type(8 * DTYPES[kind].itemsize)
    return Compute(lambda a: bits - np.bitwise_count(_spread(a)).astype(U32), (kind,), "u32")


@describes("bfind")
def highest_bit(instruction: Instruction) -> Compute:
    """``bfind``: the position of the highest bit that differs from the sign; all ones if none."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    unsigned = UNSIGNED[dtype.itemsize]
    bits = U32.type(8 * dtype.itemsize)
    is_distance = instruction.has("shiftamt")

    def find(a: Value) -> Value:
        a = np.where(a < 0, ~a, a) if is_signed(kind) else a
        count = np.bitwise_count(_spread(a.view(unsigned))).astype(U32)
        place = bits - count if is_distance else count - U32.type(1)
        return np.where(count == 0, U32.type(0xFFFFFFFF), place)

    return Compute(find, (kind,), "u32")


@describes("brev")
def reverse(instruction: Instruction) -> Compute:
    """``brev``."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    size = dtype.itemsize

    def reversed_bits(a: Value) -> Value:
        whole = np.atleast_1d(np.ascontiguousarray(a))
        swapped = _REVERSED[whole.view(U8)].reshape(-1, size)[:, ::-1]
        result = np.ascontiguousarray(swapped).view(dtype).reshape(-1)
        return result if np.ndim(a) else result[0]

    return Compute(reversed_bits, (kind,), kind)


def _field_mask(length: Value, dtype: np.dtype[Any]) -> Value:
    """Return ``length`` ones, as many as the width at most."""
    bits = 8 * dtype.itemsize
    ones = dtype.type((1 << bits) - 1)
    is_whole = length >= bits
    part = np.where(is_whole, 0, length).astype(dtype)
    return np.where(is_whole, ones, (dtype.type(1) << part) - dtype.type(1))


def _field_operand(x: Value, bits: int) -> Value:
    """Return a position or a length of ``bfe`` and ``bfi`` as GPUs read it.

    The PTX manual says that they take the lower 8 bits. GPUs do so for 32-bit fields only: for
    64-bit fields they take the whole number, clamped to the width (H200, driver 580).
    """
    return x & U32.type(0xFF) if bits == 32 else np.minimum(x, U32.type(bits))


@describes("bfe")
def extract_field(instruction: Instruction) -> Compute:
    """``bfe``: extracts a bit field; a signed one is extended with its sign."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    unsigned = UNSIGNED[dtype.itemsize]
    bits = 8 * dtype.itemsize
    signed = is_signed(kind)

    def extract(a: Value, start: Value, length: Value) -> Value:
        first, size = _field_operand(start, bits), _field_operand(length, bits)
        mask = _field_mask(size, unsigned)
        is_beyond = first >= bits
        moved = a >> np.where(is_beyond, bits - 1, first).astype(dtype)
        field = moved.view(unsigned) & mask
        if not signed:
            return np.where(is_beyond, unsigned.type(0), field)
        last = np.minimum(first.astype(S32) + size.astype(S32) - 1, bits - 1)
        sign = np.where(size == 0, 0, a >> np.maximum(last, 0).astype(dtype) & dtype.type(1))
        filled = np.where(sign == 1, field | ~mask, field)
        return filled.astype(unsigned).view(dtype)

    return Compute(extract, (kind, "u32", "u32"), kind)


@describes("bfi")
def insert_field(instruction: Instruction) -> Compute:
    """``bfi``: inserts a bit field into another value."""
    kind = type_of(instruction)
    dtype = DTYPES[kind]
    bits = 8 * dtype.itemsize

    def insert(field: Value, base: Value, start: Value, length: Value) -> Value:
        first, size = _field_operand(start, bits), _field_operand(length, bits)
        is_beyond = first >= bits
        amount = np.where(is_beyond, 0, first).astype(dtype)
        mask = np.where(is_beyond, dtype.type(0), _field_mask(size, dtype) << amount)
        return (base & ~mask) | ((field << amount) & mask)

    return Compute(insert, (kind, kind, "u32", "u32"), kind)


@describes("bmsk")
def bit_mask(instruction: Instruction) -> Compute:
    """``bmsk``: a mask of ones that starts at a bit."""
    clamps = instruction.has("clamp")

    def make(start: Value, length: Value) -> Value:
        first, size = (start, length) if clamps else (start & U32.type(31), length & U32.type(31))
        is_beyond = first >= 32
        amount = np.where(is_beyond, 0, first).astype(U32)
        return np.where(is_beyond, U32.type(0), _field_mask(size, U32) << amount)

    return Compute(make, ("u32", "u32"), "b32")


@describes("szext")
def extend(instruction: Instruction) -> Compute:
    """``szext``: the lower bits, extended with their sign or with zeros."""
    kind = type_of(instruction)
    dtype, clamps = DTYPES[kind], instruction.has("clamp")

    def extended(a: Value, length: Value) -> Value:
        size = np.minimum(length, U32.type(32)) if clamps else length & U32.type(31)
        amount = np.minimum(U32.type(32) - size, U32.type(31)).astype(dtype)
        return np.where(size == 0, dtype.type(0), a << amount >> amount)

    return Compute(extended, (kind, "u32"), kind)


@describes("lop3")
def logic_of_three(instruction: Instruction) -> Compute | None:
    """``lop3``: any logic of three bits, given as a truth table of eight rows."""
    table = instruction.operands[-1]
    if not isinstance(table, Immediate) or len(instruction.operands) != 5:
        return None
    rows = parse_integer(table.text)

    def look_up(a: Value, b: Value, c: Value, _: Value) -> Value:
        result = np.zeros_like(a)
        for row in range(8):
            if rows >> row & 1:
                x = a if row & 4 else ~a
                y = b if row & 2 else ~b
                z = c if row & 1 else ~c
                result = result | (x & y & z)
        return result

    return Compute(look_up, ("b32", "b32", "b32", "b32"), "b32")


@describes("prmt")
def permute(instruction: Instruction) -> Compute:
    """``prmt``: picks four bytes from two words; in its modes a single number picks them all."""
    mode = instruction.one_of(("f4e", "b4e", "rc8", "ecl", "ecr", "rc16"))
    byte = U64.type(0xFF)

    def picked(a: Value, b: Value, selector: Value) -> Value:
        both = b.astype(U64) << U64.type(32) | a
        result = U32.type(0)
        for place in range(4):
            index = _selected(selector, place, mode)
            value = both >> ((index & U32.type(7)) * U32.type(8)).astype(U64) & byte
            if not mode:
                sign = np.where(value >= 128, byte, U64.type(0))
                value = np.where(index & U32.type(8), sign, value)
            result = result | value.astype(U32) << U32.type(8 * place)
        return result

    return Compute(picked, ("b32", "b32", "b32"), "b32")


def _selected(selector: Value, place: int, mode: str) -> Value:
    """Return the index of the byte to pick for a position."""
    if not mode:
        return selector >> U32.type(4 * place) & U32.type(15)
    n, here = selector & U32.type(3), U32.type(place)
    if mode == "f4e":
        return n + here
    if mode == "b4e":
        return (n - here) & U32.type(7)
    if mode == "rc8":
        return n
    if mode == "ecl":
        return np.maximum(n, here)
    if mode == "ecr":
        return np.minimum(n, here)
    return (n & U32.type(1)) * U32.type(2) + (here & U32.type(1))
