"""Track undefined values from registers without an initial value to the stores that publish them.

A variable without an initial value becomes such a register. Reading it is not a mistake if the
value is unused, and compilers do that. Writing a value that depends on it to global memory is one.
So each register between the two gets a predicate, which is true in the threads where its value is
undefined; shared and local memory have a bit for each byte. Most kernels have no such flow of
values, and cost nothing more.

A special register that differs between GPUs, or from run to run, counts as one that nothing has
set: a kernel may read a clock, and wait for it, but not write what follows from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product

from pluginkit.ptx.code.basic_blocks import BasicBlock, rewrite
from pluginkit.ptx.code.special_registers import UNREPEATABLE
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
    items_of,
    named_registers,
)

#: The instructions whose results are defined whatever their operands are.
_DEFINED = ("call", "cp", "mbarrier")
_FALSE = Immediate("0")
#: Stands for shared and local memory among the registers.
_MEMORY = "(memory)"


@dataclass(frozen=True)
class UndefinedUse(Instruction):
    """Reports the threads in which an operand is true.

    Attributes:
        first_read: the first instruction that reads a register without an initial value.
        special: the special register from which the operand may follow instead, or None.
    """

    first_read: Instruction | None = None
    special: str | None = None


@dataclass(frozen=True)
class _Step:
    """The flow of values through an instruction.

    Attributes:
        instruction: the instruction.
        sources: the registers that its results depend on.
        results: the registers that it writes.
        used: the registers whose values it writes to memory that other blocks see.
    """

    instruction: Instruction
    sources: frozenset[str]
    results: frozenset[str]
    used: frozenset[str]


def follow_undefined_registers(
    function: Function, blocks: list[BasicBlock], live_at_entry: set[str]
) -> bool:
    """Add the instructions that track undefined values, if one can reach memory that others see.

    Args:
        function: the kernel; a predicate is added for each tracked register.
        blocks: its basic blocks, to whose bodies the instructions are added.
        live_at_entry: the registers that are read before they are written.

    Returns:
        Whether any were added.
    """
    unset = _unset(function, live_at_entry)
    if not unset:
        return False
    open_blocks = [block for block in blocks if not block.is_synchronisation]
    steps = [[_step(each, function) for each in block.body] for block in open_blocks]
    undefined = _Undefined(unset, [step for body in steps for step in body])
    if not undefined.is_used:
        return False
    followed = sorted(undefined.followed - {_MEMORY})
    function.registers |= {_predicate_of(name).name: "pred" for name in followed}
    for block, body in zip(open_blocks, steps, strict=True):
        block.body[:] = [each for step in body for each in undefined.with_predicates(step)]
    return True


def _unset(function: Function, live_at_entry: set[str]) -> set[str]:
    return {
        name
        for name in live_at_entry - {CARRY}
        if name in function.registers or name in UNREPEATABLE
    }


def name_operands(function: Function, live_at_entry: set[str]) -> bool:
    """Put in front of ``mma``, ``wmma.mma`` and ``wmma.store`` an instruction for their operands.

    They are basic blocks of their own, to which nothing can be added. Of a product the addend
    counts: its factors may have undefined elements, if nothing uses those of the result.

    Returns:
        Whether any were added: only if a register is read before it is written.
    """
    if not _unset(function, live_at_entry):
        return False
    before = len(function.code)

    def with_operands(index: int, one: Instruction) -> list[Instruction]:
        if one.opcode not in ("mma", "wmma") or one.has("load"):
            return [one]
        used = one.operands[1:2] if one.has("store") else one.operands[3:]
        return [replace(one, opcode="undefined_operands", operands=used), one]

    rewrite(function, with_operands)
    return len(function.code) > before


def _predicate_of(register: str) -> Register:
    """Return the predicate of a register, which is true where its value is undefined."""
    return Register(f"{register}?")


def _step(instruction: Instruction, function: Function) -> _Step:
    opcode, operands, none = instruction.opcode, instruction.operands, frozenset[str]()
    results, memory = instruction.registers.written, frozenset((_MEMORY,))
    if opcode in ("ld", "ldu"):
        sources = memory if _is_private(instruction, operands[1], function) else none
        return _Step(instruction, sources, results, none)
    if opcode == "st":
        values = _names(operands[1:])
        if not _is_private(instruction, operands[0], function):
            return _Step(instruction, none, none, values)
        return _Step(instruction, values, memory, values if _is_generic(instruction) else none)
    if opcode == "undefined_operands":
        return _Step(instruction, none, none, _names(operands))
    if opcode in ("atom", "red"):
        return _Step(instruction, none, results, _names(operands[2 if results else 1 :]))
    # One part of a packed register may be defined without the other.
    is_unpacked = bool(operands) and isinstance(operands[0], Vector)
    is_defined = not results or is_unpacked or opcode in _DEFINED
    return _Step(instruction, none if is_defined else _names(operands[1:]), results, none)


def _is_private(instruction: Instruction, address: Operand, function: Function) -> bool:
    """Whether a load or a store may access shared or local memory."""
    if instruction.has("param"):  # the arguments of inlined calls are variables
        base = address.base if isinstance(address, Address) else None
        return isinstance(base, Symbol) and base.name in function.variables
    return not instruction.has("global", "const")


def _is_generic(instruction: Instruction) -> bool:
    return not instruction.has("shared", "local", "param", "shared::cta")


def _names(operands: Sequence[Operand]) -> frozenset[str]:
    return frozenset(name for each in operands for name in named_registers(each))


def _reached(start: Set[str], following: Mapping[str, set[str]]) -> set[str]:
    """Return the names in ``start``, those that follow them, those that follow these, and so on."""
    found, left = set(start), list(start)
    while left:
        new = following.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


class _Undefined:
    """The paths of values from registers without an initial value to memory that others see.

    Args:
        unset: the registers without an initial value.
        steps: the steps of the kernel's instructions.

    Attributes:
        followed: the registers on these paths.
        is_used: whether there is a path.
    """

    def __init__(self, unset: set[str], steps: list[_Step]) -> None:
        self._unset, self._steps = unset, steps
        results, sources = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for step in steps:
            for source, result in product(step.sources, step.results):
                results[source].add(result)
                sources[result].add(source)
        used = {name for step in steps for name in step.used}
        self.followed = _reached(unset, results) & _reached(used, sources)
        self._sources = {name: sources[name] & self.followed for name in self.followed}
        self.is_used = any(step.used & self.followed for step in steps)

    def _origins(self, names: frozenset[str]) -> set[str]:
        """Return the registers without an initial value that these may depend on."""
        return self._unset & _reached(names & self.followed, self._sources)

    def with_predicates(self, step: _Step) -> list[Instruction]:
        """Return an instruction, and those that compute where its results are undefined."""
        one, followed = step.instruction, self.followed
        if one.opcode == "st" and _MEMORY in step.results:
            return [one, self._use("undefined_store", step)] if step.sources & followed else [one]
        if _MEMORY in step.sources & followed and step.results & followed:
            loaded = one.operands[0]
            vector = Vector(tuple(map(self._predicate, items_of(loaded))))
            load = Instruction("undefined_load", one.modifiers, (vector,), one.guard)
            return [one, load]
        found: list[Instruction] = []
        if step.used & followed:
            found.append(self._use("undefined_use", step))
        results = [_predicate_of(name) for name in sorted(step.results & followed)]
        if one.opcode == "selp" and results:
            operands = (*results, *map(self._predicate, one.operands[1:3]), one.operands[3])
            return [*found, Instruction("undefined_choice", (), operands, one.guard), one]
        sources = [_predicate_of(name) for name in sorted(step.sources & followed)]
        for each in results:
            found.append(Instruction("undefined_flow", (), (each, *sources), one.guard))
        return [*found, one]

    def _predicate(self, operand: Operand) -> Operand:
        if isinstance(operand, Register) and operand.name in self.followed:
            return _predicate_of(operand.name)
        return _FALSE

    def _use(self, opcode: str, step: _Step) -> UndefinedUse:
        one = step.instruction
        operands: tuple[Operand, ...]
        if opcode == "undefined_store":
            operands = tuple(map(self._predicate, items_of(one.operands[1])))
            origins = self._origins(step.sources)
        else:
            operands = tuple(_predicate_of(name) for name in sorted(step.used & self.followed))
            origins = self._origins(step.used)
        first = next((each.instruction for each in self._steps if each.sources & origins), None)
        special = min(origins) if origins <= UNREPEATABLE else None
        return UndefinedUse(
            opcode, one.modifiers, operands, one.guard, one.location, one.text, None, first, special
        )
