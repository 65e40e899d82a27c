"""f16x2 and bf16x2: two numbers in a word, each computed by itself."""

from __future__ import annotations

from pluginkit.ptx.operations import half
from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U16, U32, Value

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
