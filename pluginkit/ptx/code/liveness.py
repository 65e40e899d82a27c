"""Find the registers that are live at the start of each basic block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pluginkit.ptx.code.basic_blocks import END, BasicBlock
from pluginkit.ptx.text.syntax import Instruction


@dataclass(frozen=True)
class LiveRegisters:
    """The registers that are live at the start of each basic block.

    Attributes:
        bits: of each block, those of its live registers.
        names: the register of each bit.
        numbers: the bit of each register.
    """

    bits: list[int]
    names: list[str]
    numbers: dict[str, int]

    def before(self, block: int) -> set[str]:
        """Return the registers that a block, or a later one, reads before writing."""
        return {self.names[i] for i in _ones(self.bits[block])}

    def among(self, registers: Iterable[str], successors: Iterable[int]) -> list[str]:
        """Return those registers that are live at the start of one of some blocks, END aside."""
        bits = 0
        for to in successors:
            bits |= self.bits[to] if to != END else 0
        return [name for name in registers if bits >> self.numbers[name] & 1]


def live_registers(blocks: list[BasicBlock]) -> LiveRegisters:
    """Find the registers that each block, or a later one, reads before writing."""
    numbers: dict[str, int] = {}
    used: list[int] = []
    defined: list[int] = []
    for block in blocks:
        read, written = registers_used(block.instructions)
        used.append(_bits(read, numbers))
        defined.append(_bits(written, numbers))
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
    return LiveRegisters(live, list(numbers), numbers)


def registers_used(instructions: Iterable[Instruction]) -> tuple[set[str], set[str]]:
    """Return the registers that some code reads before it writes them, and those that it writes."""
    read: set[str] = set()
    written: set[str] = set()
    for instruction in instructions:
        registers = instruction.registers
        read |= registers.read - written
        written |= registers.written
    return read, written


def _bits(names: Iterable[str], numbers: dict[str, int]) -> int:
    bits = 0
    for name in names:
        bits |= 1 << numbers.setdefault(name, len(numbers))
    return bits


def _ones(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
