"""Find the description of an instruction by its opcode and types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import DTYPES


@dataclass(frozen=True)
class Compute:
    """An instruction that only computes.

    Attributes:
        function: takes a numpy value for each source, and returns the result or a tuple of two.
        sources: the PTX type of each source.
        result: the PTX type of the result.
    """

    function: Callable[..., Any]
    sources: tuple[str, ...]
    result: str


#: The modifiers that the descriptions read, or that do not change a result. An instruction with any
#: other modifier is not supported, whatever its opcode.
_MODIFIERS = {
    *DTYPES,
    "rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "approx", "full", "ftz", "noftz",
    "satfinite", "sat", "relu", "NaN", "abs", "xorsign", "lo", "hi", "wide", "clamp", "wrap", "l",
    "r", "shiftamt", "f4e", "b4e", "rc8", "ecl", "ecr", "rc16", "and", "or", "xor",
    "eq", "ne", "lt", "le", "gt", "ge", "ls", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu",
    "num", "nan", "add", "finite", "infinite", "number", "notanumber", "normal", "subnormal",
}  # fmt: skip

Describe = Callable[[Instruction], Compute | None]

_DESCRIBERS: dict[str, list[Describe]] = {}


def describes(*opcodes: str) -> Callable[[Describe], Describe]:
    """Register a function that describes these opcodes; it returns None for types of others."""

    def register(describe: Describe) -> Describe:
        for opcode in opcodes:
            _DESCRIBERS.setdefault(opcode, []).append(describe)
        return describe

    return register


def compute_of(instruction: Instruction) -> Compute | None:
    """Return the description of an instruction, or None if it is not supported."""
    if not _MODIFIERS.issuperset(instruction.modifiers):
        return None
    for describe in _DESCRIBERS.get(instruction.opcode, ()):
        found = describe(instruction)
        if found is not None:
            return found
    return None


def type_of(instruction: Instruction) -> str:
    """Return the last type among an instruction's modifiers, or ``""``."""
    return next((each for each in reversed(instruction.modifiers) if each in DTYPES), "")
