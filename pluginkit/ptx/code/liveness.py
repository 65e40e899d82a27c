"""Find the registers that are live at the start of each basic block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pluginkit.ptx.code.basic_blocks import END, BasicBlock
from pluginkit.ptx.text.syntax import (
    CARRY,
    Address,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Vector,
)

#: Instructions that read their first operand instead of writing it.
_WITHOUT_RESULT = {
    "st", "stu", "red", "bra", "brx", "call", "ret", "exit", "trap", "membar",
    "fence", "prefetch", "prefetchu", "cp", "discard", "applypriority", "nanosleep", "brkpt",
    "pmevent", "griddepcontrol", "undefined_use",
    "undefined_store", "undefined_operands",
}  # fmt: skip


@dataclass(frozen=True)
class RegisterUse:
    """The registers that an instruction reads and writes."""

    read: frozenset[str]
    written: frozenset[str]


def registers_of(instruction: Instruction) -> RegisterUse:
    """Return the registers that an instruction reads and writes.

    A guarded instruction also reads what it writes, since other threads keep their values.
    """
    operands = list(instruction.operands)
    written: set[str] = set()
    if _has_result(instruction) and operands:
        written = set(named_registers(operands.pop(0)))
    read = {name for operand in operands for name in named_registers(operand)}
    if instruction.takes_carry:
        read.add(CARRY)
    if instruction.gives_carry:
        written.add(CARRY)
    if instruction.guard is not None:
        read |= {*named_registers(instruction.guard), *written}
    return RegisterUse(frozenset(read - {"_"}), frozenset(written - {"_"}))


def _has_result(instruction: Instruction) -> bool:
    if instruction.opcode in ("bar", "barrier"):
        return instruction.has("red")
    if instruction.opcode == "mbarrier":
        return not instruction.has("init", "inval", "expect_tx", "complete_tx") or instruction.has(
            "arrive", "arrive_drop"
        )
    if instruction.opcode == "wmma":
        return not instruction.has("store")
    return instruction.opcode not in _WITHOUT_RESULT


def named_registers(operand: Operand) -> Iterator[str]:
    """Yield the registers that an operand names."""
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Negated):
        yield operand.operand.name
    elif isinstance(operand, Address):
        if isinstance(operand.base, Register):
            yield operand.base.name
    elif isinstance(operand, Vector):
        for item in operand.items:
            yield from named_registers(item)
    elif isinstance(operand, Pair):
        yield from named_registers(operand.first)
        yield from named_registers(operand.second)


@dataclass(frozen=True)
class LiveRegisters:
    """The registers that are live at the start of each basic block.

    Attributes:
        bits: of each block, those of its live registers.
        names: the register of each bit.
    """

    bits: list[int]
    names: list[str]

    def before(self, block: int) -> set[str]:
        """Return the registers that a block, or a later one, reads before writing."""
        return {self.names[i] for i in _ones(self.bits[block])}


def live_registers(blocks: list[BasicBlock]) -> LiveRegisters:
    """Find the registers that each block, or a later one, reads before writing."""
    numbers: dict[str, int] = {}
    used: list[int] = []
    defined: list[int] = []
    for block in blocks:
        uses = defines = 0
        for instruction in block.instructions:
            registers = registers_of(instruction)
            uses |= _bits(registers.read, numbers) & ~defines
            defines |= _bits(registers.written, numbers)
        used.append(uses)
        defined.append(defines)
    live = list(used)
    changed = True
    while changed:
        changed = False
        for index in range(len(blocks) - 1, -1, -1):
            after = 0
            for to in blocks[index].successors:
                if to != END:
                    after |= live[to]
            now = used[index] | after & ~defined[index]
            if now != live[index]:
                live[index], changed = now, True
    return LiveRegisters(live, list(numbers))


def _bits(names: frozenset[str], numbers: dict[str, int]) -> int:
    bits = 0
    for name in names:
        bits |= 1 << numbers.setdefault(name, len(numbers))
    return bits


def _ones(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
