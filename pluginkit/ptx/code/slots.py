"""Assign a kernel's registers and constants to the slots of a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Destination, Read, reader, writer
from pluginkit.ptx.code.special_registers import SPECIAL
from pluginkit.ptx.text.immediates import number
from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.text.syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Register,
    Symbol,
    Vector,
    named_registers,
)
from pluginkit.ptx.types import DTYPES, PRED, U64, UNSIGNED, storage
from pluginkit.ptx.unsupported import PtxUnsupported, unsupported


class Slots:
    """The slots of one kernel.

    Args:
        module: the module.
        function: the kernel with its calls inlined.

    Attributes:
        by_name: the slot of each register, special ones included.
        stored: the numpy type of each slot.
        constants: the values of the slots that hold constants.
    """

    def __init__(self, module: ParsedModule, function: Function) -> None:
        self.module, self.function = module, function
        self.by_name: dict[str, int] = {}
        self.stored: list[np.dtype[Any]] = []
        self.constants: dict[int, Any] = {}
        self._constant_slots: dict[tuple[str, bytes], int] = {}

    def of(self, name: str) -> int:
        """Return the slot of a register."""
        found = self.by_name.get(name)
        if found is None:
            kind = self.function.registers.get(name) or SPECIAL[name]
            found = self.by_name[name] = self._new(storage(kind))
        return found

    def _new(self, dtype: np.dtype[Any]) -> int:
        self.stored.append(dtype)
        return len(self.stored) - 1

    def constant(self, value: Any) -> int:
        """Return a slot that holds a numpy scalar."""
        key = (value.dtype.str, value.tobytes())
        found = self._constant_slots.get(key)
        if found is None:
            found = self._constant_slots[key] = self._new(value.dtype)
            self.constants[found] = value
        return found

    def read(self, operand: Operand, kind: str, instruction: Instruction) -> Read:
        """Return a function that reads an operand as a PTX type."""
        wanted = DTYPES[kind]
        if isinstance(operand, Symbol) and operand.name == "WARP_SZ":
            operand = Register(operand.name)
        if isinstance(operand, Register):
            if operand.name not in self.function.registers and operand.name not in SPECIAL:
                of_cluster = ", of a cluster of thread blocks" if "cluster" in operand.name else ""
                raise self.unsupported(instruction, f"the register {operand.name}{of_cluster}")
            slot = self.of(operand.name)
            return reader(slot, self.stored[slot], wanted)
        if isinstance(operand, Immediate):
            slot = self.constant(number(operand.text, wanted, kind))
            return lambda frame: frame[slot]
        if isinstance(operand, Negated):
            slot = self.of(operand.operand.name)
            return lambda frame: ~frame[slot]
        if isinstance(operand, Symbol):
            return self._address_of(operand, wanted, instruction)
        raise self.unsupported(instruction)

    def read_address(self, operand: Operand, instruction: Instruction) -> Read:
        """Return a function that reads the address of an operand in brackets."""
        if not isinstance(operand, Address):
            raise self.unsupported(instruction)
        if operand.base is None:
            absolute = U64.type(operand.offset & (2**64 - 1))
            return lambda frame: absolute
        if isinstance(operand.base, Symbol):
            return self._address_of(Symbol(operand.base.name, operand.offset), U64, instruction)
        slot = self.of(operand.base.name)
        dtype = self.stored[slot]
        if not operand.offset:
            return lambda frame: frame[slot]
        offset = dtype.type(operand.offset & ((1 << 8 * dtype.itemsize) - 1))
        return lambda frame: frame[slot] + offset

    def _address_of(self, symbol: Symbol, wanted: np.dtype[Any], instruction: Instruction) -> Read:
        """Return a function that reads a variable's address, which is known once a launch runs."""
        name, offset = symbol.name, symbol.offset
        unsigned, mask = UNSIGNED[wanted.itemsize], (1 << 8 * wanted.itemsize) - 1
        if not self._is_variable(name):
            raise self.unsupported(instruction, f"the symbol {name}")
        return lambda frame: unsigned.type(frame.machine.address_of(name) + offset & mask).view(
            wanted
        )

    def _is_variable(self, name: str) -> bool:
        return (
            name in self.function.variables
            or name in self.module.variables
            or self.module.function_address(name) is not None
            or any(parameter.name == name for parameter in self.function.parameters)
        )

    def guard(self, guard: Register | Negated) -> Read:
        """Return a function that reads the predicate in front of an instruction."""
        return self.read(guard, "pred", Instruction("", (), ()))

    def destination(self, operand: Operand, kind: str, instruction: Instruction) -> Destination:
        """Return the destination for results of a PTX type in a register."""
        if not isinstance(operand, Register):
            raise self.unsupported(instruction)
        given = DTYPES[kind]
        if operand.name == "_":
            return Destination(self.by_name.setdefault("_", self._new(U64)), None)
        if operand.name not in self.function.registers:
            raise self.unsupported(instruction, f"the register {operand.name}")
        slot = self.of(operand.name)
        stored = self.stored[slot]
        if (stored == PRED) != (given == PRED):
            raise self.unsupported(instruction)
        return Destination(slot, writer(slot, stored, given))

    def unsupported(self, instruction: Instruction, what: str | None = None) -> PtxUnsupported:
        """Return the error for an instruction that the machine does not know."""
        return unsupported(self.function.name, instruction, self.module, what)

    @cached_property
    def read_registers(self) -> frozenset[str]:
        """Return the registers that some instruction reads."""
        return frozenset(name for each in self.function.code for name in each.registers.read)

    @cached_property
    def expected_by_cas(self) -> frozenset[str]:
        """Return the registers whose values a compare-and-swap expects in memory.

        Loads of these values cannot race: the compare-and-swap fails if memory has changed.
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
                if each.opcode in ("mov", "cvt") and each.registers.written & found
                for name in each.registers.read
            }
            if more <= found:
                return frozenset(found)
            found |= more

    @cached_property
    def named_variables(self) -> frozenset[str]:
        """Return the variables that the code names."""
        operands = [each for instruction in self.function.code for each in instruction.operands]
        return frozenset(_symbols(operands))


def _symbols(operands: Sequence[Operand]) -> Iterator[str]:
    for operand in operands:
        if isinstance(operand, Symbol):
            yield operand.name
        elif isinstance(operand, Vector):
            yield from _symbols(operand.items)
        elif isinstance(operand, Address) and isinstance(operand.base, Symbol):
            yield operand.base.name
