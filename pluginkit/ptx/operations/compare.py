"""``setp``, ``set``, ``selp``, ``slct`` and ``testp``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.operations.packed import high, join, low
from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction, Pair
from pluginkit.ptx.types import DTYPES, Value, is_float

Predicate = Callable[[Value, Value], Value]

_ORDERED: dict[str, Predicate] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
    "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal,
}  # fmt: skip
_OPPOSITE = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}
_NAMES = (*_ORDERED, *_OPPOSITE, "num", "nan")


def comparison(name: str, kind: str) -> Predicate:
    """Return a comparison by its PTX name: with NaN those in -u are true, the others false."""
    if name in _OPPOSITE:
        opposite = comparison(_OPPOSITE[name], kind)
        if name == "neu":
            return np.not_equal
        if name == "equ":
            return lambda a, b: (a == b) | np.isnan(a) | np.isnan(b)
        return lambda a, b: ~opposite(a, b)
    if name == "nan":
        return lambda a, b: np.isnan(a) | np.isnan(b)
    if name == "num":
        return lambda a, b: ~(np.isnan(a) | np.isnan(b))
    if name == "ne" and is_float(kind):
        return lambda a, b: (a < b) | (a > b)
    return _ORDERED[name]


def _typed(instruction: Instruction, kind: str) -> Predicate:
    """Return the comparison of an instruction, as a function of stored values."""
    compare = comparison(instruction.one_of(_NAMES), kind)
    if kind == "f16":
        return lambda a, b: compare(floats.float32_from_half(a), floats.float32_from_half(b))
    if kind == "bf16":
        return lambda a, b: compare(floats.float32_from_bf16(a), floats.float32_from_bf16(b))
    if kind == "f32" and instruction.has("ftz"):
        return lambda a, b: compare(floats.flush(a), floats.flush(b))
    return compare


@describes("setp")
def set_predicate(instruction: Instruction) -> Compute | None:
    """``setp``; it may combine the result with a predicate, and write two predicates."""
    kind = type_of(instruction)
    if kind in ("f16x2", "bf16x2"):
        return _set_packed(instruction, kind)
    compare = _typed(instruction, kind)
    combine = instruction.one_of(("and", "or", "xor"))
    writes_two = isinstance(instruction.operands[0], Pair)
    if not combine and not writes_two:
        return Compute(compare, (kind, kind), "pred")
    if not combine:
        return Compute(lambda a, b: (r := compare(a, b), ~r), (kind, kind), "pred")
    operation = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[combine]

    def combined(a: Value, b: Value, c: Value) -> Value:
        result = compare(a, b)
        first = operation(result, c)
        return (first, operation(~result, c)) if writes_two else first

    return Compute(combined, (kind, kind, "pred"), "pred")


def _set_packed(instruction: Instruction, kind: str) -> Compute | None:
    if instruction.one_of(("and", "or", "xor")):
        return None
    compare = _typed(instruction, kind.removesuffix("x2"))

    return Compute(
        lambda a, b: (compare(low(a), low(b)), compare(high(a), high(b))), (kind, kind), "pred"
    )


#: What ``set`` gives where a comparison is true; of two numbers in a word for each of them.
_TRUE = {
    "u32": 0xFFFFFFFF, "s32": -1, "u16": 0xFFFF, "s16": -1, "f32": 1,
    "f16": 0x3C00, "bf16": 0x3F80,
}  # fmt: skip


@describes("set")
def set_value(instruction: Instruction) -> Compute | None:
    """``set``: all bits, or 1.0, where a comparison is true."""
    types = [each for each in instruction.modifiers if each in DTYPES]
    if len(types) != 2 or instruction.one_of(("and", "or", "xor")):
        return None
    result, kind = types
    single = kind.removesuffix("x2")
    is_packed = single != kind
    of_one = ("u16" if result == "u32" else result.removesuffix("x2")) if is_packed else result
    if of_one not in _TRUE or (is_packed and result not in (kind, "u32")):
        return None
    compare, dtype = _typed(instruction, single), DTYPES[of_one]
    true, false = dtype.type(_TRUE[of_one]), dtype.type(0)

    def one(a: Value, b: Value) -> Value:
        return np.where(compare(a, b), true, false)

    if not is_packed:
        return Compute(one, (kind, kind), result)
    return Compute(
        lambda a, b: join(one(low(a), low(b)), one(high(a), high(b))), (kind, kind), result
    )


@describes("selp")
def select(instruction: Instruction) -> Compute:
    """``selp``."""
    kind = type_of(instruction)
    return Compute(lambda a, b, p: np.where(p, a, b), (kind, kind, "pred"), kind)


@describes("slct")
def select_by_sign(instruction: Instruction) -> Compute:
    """``slct``: the first source where the third is not negative, otherwise the second."""
    kind, sign = [each for each in instruction.modifiers if each in DTYPES]
    flush = floats.flush if instruction.has("ftz") else lambda x: x
    return Compute(lambda a, b, c: np.where(flush(c) >= 0, a, b), (kind, kind, sign), kind)


@describes("testp")
def test_property(instruction: Instruction) -> Compute | None:
    """``testp``: the class of a float. Zeros are normal, as the PTX manual says."""
    kind = type_of(instruction)
    tiny = 2.0**-126 if kind == "f32" else 2.0**-1022
    tests: dict[str, Callable[[Value], Value]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & ((np.abs(a) >= tiny) | (a == 0)),
        "subnormal": lambda a: (np.abs(a) < tiny) & (a != 0),
    }
    return Compute(tests[instruction.one_of(tuple(tests))], (kind,), "pred")
