"""Two or four numbers in a word, each computed by itself: f16x2, bf16x2, u16x2, s16x2, bytes."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.operations import half
from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import S16, U8, U16, U32, ComputeFunction, Value

_HALF = U32.type(16)


def low(word: Value) -> Value:
    """Return the lower 16 bits."""
    return word.astype(U16)


def high(word: Value) -> Value:
    """Return the upper 16 bits."""
    return (word >> _HALF).astype(U16)


def join(lower: Value, upper: Value) -> Value:
    """Return a word of two halves."""
    return lower.astype(U32) | upper.astype(U32) << _HALF


@describes("add", "sub", "mul", "fma", "min", "max", "abs", "neg", "ex2", "tanh")
def arithmetic(instruction: Instruction) -> Compute | None:
    """Arithmetic on f16x2 and bf16x2."""
    kind = type_of(instruction)
    single = kind.removesuffix("x2")
    if single == kind or single not in ("f16", "bf16"):
        return None
    if instruction.opcode in ("abs", "neg"):
        mask = U32.type(0x7FFF7FFF if instruction.opcode == "abs" else 0x80008000)
        if instruction.opcode == "abs":
            return Compute(lambda a: a & mask, (kind,), kind)
        return Compute(lambda a: a ^ mask, (kind,), kind)
    function = half.function_of(instruction, single)
    if function is None:
        return None

    def both(*sources: Value) -> Value:
        return join(function(*map(low, sources)), function(*map(high, sources)))

    return Compute(both, (kind,) * (len(instruction.operands) - 1), kind)


@describes("add", "min", "max")
def of_integers(instruction: Instruction) -> Compute | None:
    """``add``, ``min`` and ``max`` of u16x2 and s16x2, the latter two with ``.relu``."""
    kind = type_of(instruction)
    if kind not in ("u16x2", "s16x2") or instruction.has("sat"):
        return None
    functions: dict[str, ComputeFunction] = {
        "add": np.add, "min": np.minimum, "max": np.maximum,
    }  # fmt: skip
    function, dtype = functions[instruction.opcode], S16 if kind == "s16x2" else U16
    relu = instruction.has("relu")

    def one(a: Value, b: Value) -> Value:
        result = function(a.view(dtype), b.view(dtype))
        return (np.maximum(result, dtype.type(0)) if relu else result).view(U16)

    return Compute(lambda a, b: join(one(low(a), low(b)), one(high(a), high(b))), (kind,) * 2, kind)


@describes("vabsdiff4")
def differences_of_bytes(instruction: Instruction) -> Compute | None:
    """``vabsdiff4`` of unsigned bytes; with ``.add`` their sum, plus the third source."""
    if instruction.modifiers[:3] != ("u32",) * 3 or not {*instruction.modifiers} <= {"u32", "add"}:
        return None
    is_sum = instruction.has("add")

    def differences(a: Value, b: Value, c: Value) -> Value:
        total = c if is_sum else U32.type(0)
        for place in (0, 8, 16, 24):
            one, other = ((each >> U32.type(place)).astype(U8) for each in (a, b))
            far = (np.maximum(one, other) - np.minimum(one, other)).astype(U32)
            total = total + far if is_sum else total | far << U32.type(place)
        return total

    return Compute(differences, ("u32",) * 3, "u32")
