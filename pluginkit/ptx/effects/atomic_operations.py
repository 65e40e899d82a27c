"""``atom`` and ``red``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import active_threads, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.state_spaces import access_of, space_of
from pluginkit.ptx.memory import atomics
from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.operations import half
from pluginkit.ptx.operations.packed import high, join, low
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Address, Instruction, Operand, Register, Vector
from pluginkit.ptx.types import DTYPES, Array

AtomicUpdate = Callable[..., Any]

_NAMES = ("add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas")
_VECTORS = ("v2", "v4", "v8")
_UFUNCS = {
    "add": np.add, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip


def _increment(old: Any, limit: Any) -> Any:
    one, zero = old.dtype.type(1), old.dtype.type(0)
    return np.where(old >= limit, zero, old + one)


def _decrement(old: Any, limit: Any) -> Any:
    return np.where((old == 0) | (old > limit), limit, old - old.dtype.type(1))


def _swap(old: Any, expected: Any, new: Any) -> Any:
    return np.where(old == expected, new, old)


_UPDATES: dict[str, AtomicUpdate] = {
    "exch": lambda old, new: new,
    "cas": _swap,
    "inc": _increment,
    "dec": _decrement,
}


def _update_of(name: str, kind: str, space: str) -> AtomicUpdate | None:
    """Return the function that computes the new value; None if it is not supported."""
    if name in _UPDATES:
        return _UPDATES[name]
    single = kind.removesuffix("x2")
    if single in ("f16", "bf16"):
        return _of_halves(name, single, is_packed=single != kind)
    if kind == "f32" and name == "add" and space != "shared":  # global atomics flush denormals
        return lambda old, new: floats.flush(floats.flush(old) + floats.flush(new))
    if kind in ("f32", "f64") and name != "add":
        return None
    return _UFUNCS.get(name)


def _of_halves(name: str, single: str, *, is_packed: bool) -> AtomicUpdate | None:
    function = half.function_of(Instruction(name, (), ()), single)
    if function is None or not is_packed:
        return function
    return lambda old, new: join(function(low(old), low(new)), function(high(old), high(new)))


@dataclass(frozen=True)
class _Atomic:
    """One atomic instruction.

    Attributes:
        access: how it accesses memory.
        typed: the type of the elements in memory.
        update: computes the new value.
        ufunc: the numpy function for it, if there is one.
        needs_old: whether the kernel reads the old value.
    """

    access: MemoryAccess
    typed: np.dtype[Any]
    update: AtomicUpdate
    ufunc: Any
    needs_old: bool

    def perform(
        self, memory: CheckedMemory, ids: Array, addresses: Array, operands: list[Array]
    ) -> Array:
        """Update memory for some threads, and return the old value that each found."""
        old = np.zeros(len(ids), self.typed)
        for part in memory.parts(self.access, ids, addresses, "updated"):
            if part.region.role == "input":
                memory.report(self.access, part, "input_written", "updates an input")
                continue
            found = self._perform(memory, part, [part.of(each) for each in operands])
            old[... if part.places is None else part.places] = found
        return old

    def _perform(self, memory: CheckedMemory, part: AccessPart, operands: list[Array]) -> Array:
        region, view = part.region, part.region.view(self.typed)
        memory.begin_atomic(self.access, part)
        if not self.needs_old and memory.is_delayed(self.access, part):
            memory.delay(self.access, part, _DelayedUpdate(self, part, view, operands))
            memory.end_atomic(self.access, part, is_changed=True)
            return view[part.first]
        end = region.bytes_past_end()
        if self.needs_old or self.ufunc is None:
            found = atomics.apply(view, part.first, self.update, operands, self.ufunc)
            is_changed = bool((found != view[part.first]).any())
        else:
            self.ufunc.at(view, part.first, operands[0])
            found, is_changed = view[part.first], True
        memory.end_atomic(self.access, part, is_changed=is_changed)
        if region.bytes_past_end() != end:
            memory.report(
                self.access,
                part,
                "out_of_bounds",
                f"bytes past the end of {region.name} are updated",
            )
        return found


@dataclass(frozen=True)
class _DelayedUpdate:
    """A delayed update, which is made for some of its threads at a time."""

    atomic: _Atomic
    part: AccessPart
    view: Array
    operands: list[Array]

    def __call__(self, places: Array) -> None:
        chosen = [operand[places] for operand in self.operands]
        where = self.part.first[places]
        atomics.apply(self.view, where, self.atomic.update, chosen, self.atomic.ufunc)


def atomic(slots: Slots, instruction: Instruction) -> Operation:
    """``atom``, and ``red``, which does not return the old value.

    A vector's elements are each updated atomically, one after the other.
    """
    if not instruction.has(*_VECTORS):
        return _single(slots, instruction)
    first, *others = _elements(instruction)
    whole = DTYPES[type_of(instruction)].itemsize * (len(others) + 1)
    operations = [_single(slots, first, whole), *(_single(slots, each) for each in others)]

    def run(frame: Frame) -> None:
        for operation in operations:
            operation(frame)

    return run


def _elements(instruction: Instruction) -> Iterator[Instruction]:
    """Yield an instruction for each element of a vector."""
    nbytes = DTYPES[type_of(instruction)].itemsize
    modifiers = tuple(each for each in instruction.modifiers if each not in _VECTORS)
    vectors = [each for each in instruction.operands if isinstance(each, Vector)]
    for at in range(len(vectors[-1].items)):
        operands = [_element(operand, at, at * nbytes) for operand in instruction.operands]
        yield replace(instruction, modifiers=modifiers, operands=tuple(operands))


def _element(operand: Operand, at: int, offset: int) -> Operand:
    if isinstance(operand, Vector):
        return operand.items[at]
    if isinstance(operand, Address):
        return replace(operand, offset=operand.offset + offset)
    return operand


def _single(slots: Slots, instruction: Instruction, alignment: int = 1) -> Operation:
    kind, name = type_of(instruction), instruction.one_of(_NAMES)
    space = space_of(instruction)
    update = _update_of(name, kind, space)
    if update is None:
        raise slots.unsupported(instruction)
    operands = list(instruction.operands)
    target = operands.pop(0) if instruction.opcode == "atom" else Register("_")
    needs_old = isinstance(target, Register) and target.name in slots.read_registers
    put = slots.destination(target, kind, instruction)
    address = slots.read_address(operands[0], instruction)
    values = [slots.read(each, kind, instruction) for each in operands[1:]]
    choose, in_block = active_threads(slots, instruction), instruction.has("cta")
    access = replace(
        access_of(slots, instruction, space), is_strong=True, may_pass_end=True,
        alignment=alignment, fences=instruction.has("acquire", "release", "acq_rel"),
    )  # fmt: skip
    is_plain = kind not in ("f16", "bf16", "f16x2", "bf16x2")
    ufunc = _UFUNCS.get(name) if is_plain else None
    operation = _Atomic(access, DTYPES[kind], update, ufunc, needs_old)

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        machine = frame.machine
        if access.fences:
            machine.fence(ids, instruction, in_block=in_block)
        given = [values_at(value(frame), frame, places) for value in values]
        addresses = values_at(address(frame), frame, places)
        old = operation.perform(machine.memory, ids, addresses, given)
        if needs_old:
            put.to_some(frame, old, places)

    return run
