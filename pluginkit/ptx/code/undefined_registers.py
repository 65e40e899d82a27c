"""Follow the values of registers that nothing has set to where the kernel uses them.

A variable without a first value becomes such a register. To read it is no mistake as long as nobody
uses the value, and compilers do that; a kernel that writes what follows from it to global memory is
wrong. So each register between the two gets a predicate beside it, which is true in the threads
where its value is undefined; shared and local memory have a bit for each byte. In most kernels
nothing leads from one to the other, and they pay nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluginkit.ptx.code.basic_blocks import BasicBlock
from pluginkit.ptx.code.liveness import named_registers, registers_of
from pluginkit.ptx.text.syntax import (
    CARRY,
    Address,
    Function,
    Immediate,
    Instruction,
    Operand,
    Register,
    Symbol,
    Vector,
)

#: What gives a defined value whatever its operands are.
_DEFINED = ("atom", "call", "cp")
_FALSE = Immediate("0")
#: Stands for shared and local memory among the registers.
_MEMORY = "(memory)"


@dataclass(frozen=True)
class UndefinedUse(Instruction):
    """Reports the threads in which an operand is true.

    Attributes:
        first_read: the first instruction that reads a register which nothing has set.
    """

    first_read: Instruction | None = None


@dataclass(frozen=True)
class _Step:
    """What an instruction does with values: it computes some from others, or writes them.

    Attributes:
        instruction: the instruction.
        sources: the registers whose values its results follow from.
        results: the registers that it writes.
        used: the registers whose values it writes to memory that others see.
    """

    instruction: Instruction
    sources: frozenset[str]
    results: frozenset[str]
    used: frozenset[str]


def follow_undefined_registers(
    function: Function, blocks: list[BasicBlock], live_at_entry: set[str]
) -> bool:
    """Add the instructions that follow undefined values, if memory that others see can get one.

    Args:
        function: the kernel, which gets a predicate for each register on the way.
        blocks: its basic blocks, whose bodies get the instructions.
        live_at_entry: the registers that are read before they are written.

    Returns:
        whether there were any to add.
    """
    unset = {name for name in live_at_entry - {CARRY} if name in function.registers}
    if not unset:
        return False
    open_blocks = [block for block in blocks if not block.is_synchronisation]
    steps = [[_step(each, function) for each in block.body] for block in open_blocks]
    undefined = _Undefined(unset, [step for body in steps for step in body])
    if not undefined.is_used:
        return False
    followed = sorted(undefined.followed - {_MEMORY})
    function.registers |= {_beside(name).name: "pred" for name in followed}
    for block, body in zip(open_blocks, steps, strict=True):
        block.body[:] = [each for step in body for each in undefined.with_predicates(step)]
    return True


def _beside(register: str) -> Register:
    """Return the predicate beside a register."""
    return Register(f"{register}?")


def _step(instruction: Instruction, function: Function) -> _Step:
    opcode, operands, none = instruction.opcode, instruction.operands, frozenset[str]()
    results, memory = registers_of(instruction).written, frozenset((_MEMORY,))
    if opcode in ("ld", "ldu"):
        sources = memory if _is_private(instruction, operands[1], function) else none
        return _Step(instruction, sources, results, none)
    if opcode == "st":
        values = _names(operands[1:])
        if not _is_private(instruction, operands[0], function):
            return _Step(instruction, none, none, values)
        return _Step(instruction, values, memory, values if _is_generic(instruction) else none)
    if opcode in ("atom", "red"):
        return _Step(instruction, none, results, _names(operands[2 if results else 1 :]))
    # One part of a packed register may be defined without the other.
    is_unpacked = bool(operands) and isinstance(operands[0], Vector)
    is_defined = not results or is_unpacked or opcode in ("call", "cp")
    return _Step(instruction, none if is_defined else _names(operands[1:]), results, none)


def _is_private(instruction: Instruction, address: Operand, function: Function) -> bool:
    """Whether a load or a store may access shared or local memory."""
    if instruction.has("param"):  # what inlined calls pass is a variable
        base = address.base if isinstance(address, Address) else None
        return isinstance(base, Symbol) and base.name in function.variables
    return not instruction.has("global", "const")


def _is_generic(instruction: Instruction) -> bool:
    return not instruction.has("shared", "local", "param", "shared::cta")


def _items(operand: Operand) -> tuple[Operand, ...]:
    return operand.items if isinstance(operand, Vector) else (operand,)


def _names(operands: Sequence[Operand]) -> frozenset[str]:
    return frozenset(name for each in operands for name in named_registers(each))


class _Undefined:
    """The ways from registers that nothing has set to memory that others see.

    Args:
        unset: these registers.
        steps: what the kernel's instructions do.

    Attributes:
        followed: the registers on the ways.
        is_used: whether there is a way.
    """

    def __init__(self, unset: set[str], steps: list[_Step]) -> None:
        self._unset, self._steps = unset, steps
        reached, before = set(unset), -1
        while before < len(reached):
            before = len(reached)
            for step in steps:
                if step.sources & reached:
                    reached |= step.results
        self.followed = reached & self._leading_to({name for step in steps for name in step.used})
        self.is_used = any(step.used & self.followed for step in steps)

    def _leading_to(self, end: set[str]) -> set[str]:
        """Return the registers from which the values of those in ``end`` may follow."""
        found, before = set(end), -1
        while before < len(found):
            before = len(found)
            for step in reversed(self._steps):
                if step.results & found:
                    found |= step.sources
        return found

    def with_predicates(self, step: _Step) -> list[Instruction]:
        """Return an instruction with those that tell where its results are undefined."""
        one, followed = step.instruction, self.followed
        if one.opcode == "st" and _MEMORY in step.results:
            return [one, self._use("undefined_store", step)] if step.sources & followed else [one]
        if _MEMORY in step.sources & followed and step.results & followed:
            loaded = one.operands[0]
            vector = Vector(tuple(map(self._predicate, _items(loaded))))
            load = Instruction("undefined_load", one.modifiers, (vector,), one.guard)
            return [one, load]
        found: list[Instruction] = []
        if step.used & followed:
            found.append(self._use("undefined_use", step))
        results = [_beside(name) for name in sorted(step.results & followed)]
        if one.opcode == "selp" and results:
            operands = (*results, *map(self._predicate, one.operands[1:3]), one.operands[3])
            return [*found, Instruction("undefined_choice", (), operands, one.guard), one]
        sources = [_beside(name) for name in sorted(step.sources & followed)]
        for each in results:
            found.append(Instruction("undefined_flow", (), (each, *sources), one.guard))
        return [*found, one]

    def _predicate(self, operand: Operand) -> Operand:
        if isinstance(operand, Register) and operand.name in self.followed:
            return _beside(operand.name)
        return _FALSE

    def _use(self, opcode: str, step: _Step) -> UndefinedUse:
        one = step.instruction
        operands: tuple[Operand, ...]
        if opcode == "undefined_store":
            operands = tuple(map(self._predicate, _items(one.operands[1])))
            origins = self._unset & self._leading_to(set(step.sources & self.followed))
        else:
            operands = tuple(_beside(name) for name in sorted(step.used & self.followed))
            origins = self._unset & self._leading_to(set(step.used & self.followed))
        first = next((each.instruction for each in self._steps if each.sources & origins), None)
        return UndefinedUse(
            opcode, one.modifiers, operands, one.guard, one.location, one.text, None, first
        )
