"""A kernel made ready: blocks of operations on the slots of a frame.

Slots are numbered once for the kernel: its registers, the special registers that it reads, and its
constants. Blocks are made ready when they first run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pluginkit.ptx.flow import END, BasicBlock, basic_blocks
from pluginkit.ptx.immediates import number
from pluginkit.ptx.inline import expand
from pluginkit.ptx.liveness import live_before, named_registers, registers_of
from pluginkit.ptx.parse import Module
from pluginkit.ptx.special import SPECIAL, UNIFORM
from pluginkit.ptx.syntax import (
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Register,
    Symbol,
)
from pluginkit.ptx.types import DTYPES, PRED, U64, UNSIGNED, storage
from pluginkit.ptx.unsupported import PtxUnsupported, unsupported
from pluginkit.ptx.values import Operation, Read, Write, reader, writer
from pluginkit.ptx.waiting import Barrier, WarpOperation, waiting_of


@dataclass
class Block:
    """A basic block made ready.

    Attributes:
        basic: its instructions.
        operations: what they do, in order.
        reads: the slots that are filled before.
        writes: the slots whose values are kept afterwards.
        condition: reads the predicate, or the index, of the branch at its end; None for none.
        waiting: what threads wait for one another at, if they do.
    """

    basic: BasicBlock
    operations: list[Operation] = field(default_factory=list)
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    condition: Read | None = None
    waiting: Barrier | WarpOperation | None = None


class Program:
    """A kernel of a module.

    Args:
        module: the module.
        name: the kernel's name.

    Attributes:
        function: the kernel with its calls expanded.
        blocks: its basic blocks in the order in which they should run.
        slots: the slot of each register, by name.
        stored: how each slot's bits are kept.
        constants: the slots that hold the same value in all threads.

    Errors:
        PK352: there is no such kernel.
        PtxUnsupported: it needs what the machine does not have.
    """

    def __init__(self, module: Module, name: str) -> None:
        kernel = module.function(name)
        if kernel is None or not kernel.is_kernel:
            raise unknown_kernel(name, module.kernels)
        self.module = module
        self.function: Function = expand(module, kernel)
        self.blocks = basic_blocks(self.function)
        self._live = live_before(self.blocks)
        self.slots: dict[str, int] = {}
        self.stored: list[np.dtype[Any]] = []
        self.constants: dict[int, Any] = {}
        self.used = {
            register
            for block in self.blocks
            for instruction in (*block.body, *([block.branch] if block.branch else ()))
            for register in registers_of(instruction)[0]
        }
        #: The loops in which a thread may wait for what another one writes.
        self.polling_loops = {
            block.loop
            for block in self.blocks
            if block.loop is not None and any(map(self._polls, block.body))
        }
        self._constant_slots: dict[tuple[str, Any], int] = {}
        self._ready: dict[int, Block] = {}

    @cached_property
    def compared_later(self) -> frozenset[str]:
        """The registers whose values a compare-and-swap expects in memory.

        A load of such a value may race: the swap finds out.
        """
        code = self.function.code
        found = {
            name
            for each in code
            if each.opcode == "atom" and each.has("cas")
            for name in named_registers(each.operands[2])
        }
        while True:
            more = {
                name
                for each in code
                if each.opcode in ("mov", "cvt") and registers_of(each)[1] & found
                for name in registers_of(each)[0]
            }
            if more <= found:
                return frozenset(found)
            found |= more

    @cached_property
    def named(self) -> frozenset[str]:
        """The variables that the code names."""
        return frozenset(_symbols(self.function.code))

    def block(self, number: int) -> Block:
        """A block, made ready."""
        found = self._ready.get(number)
        if found is None:
            found = self._ready[number] = self._prepare(number)
        return found

    def _prepare(self, number: int) -> Block:
        from pluginkit.ptx.decode import decode

        basic = self.blocks[number]
        block = Block(basic)
        reads, written = set(), set()
        instructions = [*basic.body, *([basic.branch] if basic.branch else [])]
        for instruction in instructions:
            used, defined = registers_of(instruction)
            reads |= used - written
            written |= defined
        live = set().union(*(self._live[to] for to in basic.successors if to != END))
        if basic.waits:
            block.waiting = waiting_of(self, basic.body[0])
        else:
            for instruction in basic.body:
                operation = decode(self, instruction)
                if operation is not None:
                    block.operations.append(operation)
        if basic.branch is not None:
            block.condition = self._condition(basic.branch)
        block.reads = tuple(sorted(self.slot(name) for name in reads if self.is_varying(name)))
        block.writes = tuple(sorted(self.slot(name) for name in written & live))
        return block

    def _condition(self, branch: Instruction) -> Read:
        if branch.opcode == "brx":
            return self.read(branch.operands[0], "u32", branch)
        assert branch.guard is not None  # noqa: S101 - other branches end a block by themselves
        return self.guard(branch.guard)

    def _polls(self, instruction: Instruction) -> bool:
        """Whether an instruction reads what another thread may write meanwhile."""
        is_load = instruction.opcode == "ld" and instruction.has(
            "volatile", "relaxed", "acquire", "mmio"
        )
        return is_load or (
            instruction.opcode == "atom" and bool(registers_of(instruction)[1] & self.used)
        )

    def guard(self, guard: Register | Negated) -> Read:
        """Reads the predicate in front of an instruction."""
        register = guard.operand if isinstance(guard, Negated) else guard
        slot = self.slot(register.name)
        if isinstance(guard, Negated):
            return lambda frame: ~frame[slot]
        return lambda frame: frame[slot]

    def is_varying(self, name: str) -> bool:
        """Whether a register is kept for each thread, rather than being the same in all."""
        return name not in UNIFORM

    def slot(self, name: str) -> int:
        """The slot of a register."""
        found = self.slots.get(name)
        if found is None:
            kind = self.function.registers.get(name) or SPECIAL[name]
            found = self.slots[name] = self._new_slot(storage(kind))
        return found

    def _new_slot(self, dtype: np.dtype[Any]) -> int:
        self.stored.append(dtype)
        return len(self.stored) - 1

    def constant(self, value: Any) -> int:
        """A slot that holds a numpy scalar."""
        key = (value.dtype.str, value.tobytes())
        found = self._constant_slots.get(key)
        if found is None:
            found = self._constant_slots[key] = self._new_slot(value.dtype)
            self.constants[found] = value
        return found

    def read(self, operand: Operand, kind: str, instruction: Instruction) -> Read:
        """Reads an operand as a value of a PTX type."""
        wanted = DTYPES[kind]
        if isinstance(operand, Register):
            if operand.name not in self.function.registers and operand.name not in SPECIAL:
                raise self.unsupported(instruction, f"the register {operand.name}")
            slot = self.slot(operand.name)
            return reader(slot, self.stored[slot], wanted)
        if isinstance(operand, Immediate):
            slot = self.constant(number(operand.text, wanted, kind))
            return lambda frame: frame[slot]
        if isinstance(operand, Negated):
            slot = self.slot(operand.operand.name)
            return lambda frame: ~frame[slot]
        if isinstance(operand, Symbol):
            return self.address_of(operand, wanted, instruction)
        raise self.unsupported(instruction)

    def address_of(self, symbol: Symbol, wanted: np.dtype[Any], instruction: Instruction) -> Read:
        """Reads the address of a variable: known once the launch has placed it."""
        offset = symbol.offset
        name = symbol.name
        unsigned = UNSIGNED[wanted.itemsize]
        if not self.is_variable(name):
            raise self.unsupported(instruction, f"the symbol {name}")
        mask = (1 << 8 * wanted.itemsize) - 1
        return lambda frame: unsigned.type(frame.machine.address_of(name) + offset & mask).view(
            wanted
        )

    def is_variable(self, name: str) -> bool:
        """Whether a name is a variable or a kernel's parameter."""
        return (
            name in self.function.variables
            or name in self.module.variables
            or any(parameter.name == name for parameter in self.function.parameters)
        )

    def write(
        self, operand: Operand, kind: str, instruction: Instruction
    ) -> tuple[int, Write | None]:
        """The slot of a result, and what writes it there where it has to be converted."""
        if not isinstance(operand, Register):
            raise self.unsupported(instruction)
        given = DTYPES[kind]
        if operand.name == "_":
            slot = self.slots.setdefault("_", self._new_slot(U64))
            return slot, None
        slot = self.slot(operand.name)
        stored = self.stored[slot]
        if (stored == PRED) != (given == PRED):
            raise self.unsupported(instruction)
        return slot, writer(slot, stored, given)

    def unsupported(self, instruction: Instruction, what: str | None = None) -> PtxUnsupported:
        """The error of an instruction that the machine does not know."""
        return unsupported(self.function.name, instruction, self.module, what)

    def parameter_sizes(self) -> tuple[int, ...]:
        """The bytes of each of the kernel's parameters."""
        return tuple(parameter.nbytes for parameter in self.function.parameters)


def unknown_kernel(name: str, known: Sequence[str]) -> PtxUnsupported:
    """The error of a kernel that the module does not have."""
    return PtxUnsupported(
        "PK352", f"kernel '{name}' is not in the PTX; expected one of {', '.join(known)}."
    )


def _symbols(code: Sequence[Instruction]) -> set[str]:
    """The variables that instructions name."""
    found: set[str] = set()
    todo: list[object] = [operand for instruction in code for operand in instruction.operands]
    while todo:
        operand = todo.pop()
        if isinstance(operand, Symbol):
            found.add(operand.name)
        todo.extend(getattr(operand, "items", ()))
        base = getattr(operand, "base", None)
        if base is not None:
            todo.append(base)
    return found
