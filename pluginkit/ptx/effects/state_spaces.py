"""The state space of an instruction, and how it accesses memory."""

from __future__ import annotations

from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import DTYPES, UNSIGNED

_STRONG = ("volatile", "relaxed", "acquire", "release", "mmio")


def space_of(instruction: Instruction) -> str:
    """Return the state space that an instruction names, or ``generic``."""
    for modifier in instruction.modifiers:
        space = modifier.partition("::")[0]
        if space in ("global", "shared", "local", "const", "param"):
            return space
    return "generic"


def access_of(slots: Slots, instruction: Instruction, space: str) -> MemoryAccess:
    """Return how a load, a store or an atomic accesses memory."""
    dtype = DTYPES[type_of(instruction)]
    vector = instruction.one_of(("v2", "v4", "v8"), "v1")
    is_compared = instruction.opcode == "ld" and bool(
        instruction.registers.written & slots.expected_by_cas
    )
    return MemoryAccess(
        instruction,
        "global" if space == "const" else space,
        UNSIGNED[dtype.itemsize],
        int(vector[1]),
        is_strong=is_compared or instruction.has(*_STRONG),
        is_of_block=instruction.has("cta"),
        fences=instruction.has("acquire", "release"),
        used_bytes=instruction.used_bytes,
        may_pass_end=is_compared,
    )
