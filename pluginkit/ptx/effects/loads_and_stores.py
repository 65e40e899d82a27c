"""``ld``, ``st`` and fences."""

from __future__ import annotations

from pluginkit.ptx.code.frame import Destination, Frame, Operation
from pluginkit.ptx.code.guards import active_threads, guarded, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.state_spaces import access_of, space_of
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Address, Instruction, Operand, Symbol, items_of
from pluginkit.ptx.types import DTYPES

_FENCE = {"sc", "acq_rel", "acquire", "release", "cta", "cluster", "gpu", "sys", "gl"}
_PROXY_FENCE = {"proxy", "async", "global", "shared", "shared::cta", "shared::cluster"}


def load(slots: Slots, instruction: Instruction) -> Operation:
    """``ld``, ``ldu``: a scalar or a vector."""
    kind, space = type_of(instruction), space_of(instruction)
    target, source = instruction.operands[:2]
    puts = [slots.destination(item, kind, instruction) for item in items_of(target)]
    if space == "param":
        parameter = _kernel_parameter(slots, source)
        if parameter is not None:
            return _load_parameter(slots, instruction, parameter, puts)
        space = _space_of_parameter(slots, source)
    access = access_of(slots, instruction, space)
    address, choose = slots.read_address(source, instruction), active_threads(slots, instruction)
    typed, in_block = DTYPES[kind], instruction.has("cta")

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        machine = frame.machine
        loaded = machine.memory.load(access, ids, values_at(address(frame), frame, places))
        for put, bits in zip(puts, loaded, strict=True):
            put.to_some(frame, bits.view(typed), places)
        if access.fences:
            machine.fence(ids, instruction, in_block=in_block)

    return run


def _kernel_parameter(slots: Slots, operand: Operand) -> Symbol | None:
    """Return the kernel parameter that a load names, with its offset; None if it names none."""
    if not isinstance(operand, Address) or not isinstance(operand.base, Symbol):
        return None
    name = operand.base.name
    is_own = any(parameter.name == name for parameter in slots.function.parameters)
    return Symbol(name, operand.offset) if is_own else None


def _space_of_parameter(slots: Slots, operand: Operand) -> str:
    """Return the space of a parameter: those of inlined calls are local variables."""
    base = operand.base if isinstance(operand, Address) else None
    is_local = isinstance(base, Symbol) and base.name in slots.function.variables
    return "local" if is_local else "generic"


def _load_parameter(
    slots: Slots, instruction: Instruction, parameter: Symbol, puts: list[Destination]
) -> Operation:
    dtype = DTYPES[type_of(instruction)]

    def run(frame: Frame) -> None:
        for place, put in enumerate(puts):
            offset = parameter.offset + place * dtype.itemsize
            put(frame, frame.machine.parameter(parameter.name, offset, dtype))

    return guarded(slots, instruction, run, puts)


def store(slots: Slots, instruction: Instruction) -> Operation:
    """``st``: a scalar or a vector."""
    space = space_of(instruction)
    target, source = instruction.operands[:2]
    if space == "param":
        space = _space_of_parameter(slots, target)
    access = access_of(slots, instruction, space)
    address, choose = slots.read_address(target, instruction), active_threads(slots, instruction)
    bits = f"b{8 * access.dtype.itemsize}"
    values = [slots.read(item, bits, instruction) for item in items_of(source)]
    in_block = instruction.has("cta")

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        machine = frame.machine
        if access.fences:
            machine.fence(ids, instruction, in_block=in_block)
        given = [values_at(value(frame), frame, places) for value in values]
        machine.memory.store(access, ids, values_at(address(frame), frame, places), given)

    return run


def fence(slots: Slots, instruction: Instruction) -> Operation | None:
    """``membar``, ``fence``."""
    if instruction.has("mbarrier_init"):
        return None  # initialising takes effect at once
    choose, in_block = active_threads(slots, instruction), instruction.has("cta")
    is_of_proxies = instruction.has("proxy")
    known = _PROXY_FENCE if is_of_proxies else _FENCE
    if not {*instruction.modifiers} <= known:
        raise slots.unsupported(instruction)

    def run(frame: Frame) -> None:
        ids, _ = choose(frame)
        if not len(ids):
            return
        if is_of_proxies:
            frame.machine.order.fence_proxies(
                ids + frame.machine.first_thread, frame.machine.tick(instruction)
            )
        else:
            frame.machine.fence(ids, instruction, in_block=in_block)

    return run
