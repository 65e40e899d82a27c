"""Instructions that do more than compute: memory, addresses, fences, calls of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.ptx import atomic_operations, copies, runtime
from pluginkit.ptx.access import Site
from pluginkit.ptx.liveness import registers_of
from pluginkit.ptx.memory import GENERIC_BASE, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BITS
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.syntax import Address, Instruction, Operand, Register, Symbol, Vector
from pluginkit.ptx.types import DTYPES, U64, UNSIGNED, Array
from pluginkit.ptx.values import Frame, Operation, Read, spread

if TYPE_CHECKING:
    from pluginkit.ptx.program import Program

Effect = Callable[["Program", Instruction], Operation | None]

_STRONG = ("volatile", "relaxed", "acquire", "release", "mmio")


def space_of(instruction: Instruction) -> str:
    """The state space that an instruction names; ``generic`` for none."""
    for modifier in instruction.modifiers:
        space = modifier.partition("::")[0]
        if space in ("global", "shared", "local", "const", "param"):
            return space
    return "generic"


def site_of(program: Program, instruction: Instruction, space: str) -> Site:
    """What an instruction accesses."""
    kind = type_of(instruction)
    vector = instruction.one_of(("v2", "v4", "v8"), "v1")
    is_compared = instruction.opcode == "ld" and bool(
        registers_of(instruction)[1] & program.compared_later
    )
    return Site(
        instruction,
        "global" if space == "const" else space,
        UNSIGNED[DTYPES[kind].itemsize],
        int(vector[1]),
        is_compared or instruction.has(*_STRONG),
        instruction.has("acquire", "release"),
        instruction.used_bytes,
        is_compared,
    )


def address_of(program: Program, operand: Operand, instruction: Instruction) -> Read:
    """Reads the address in brackets."""
    if not isinstance(operand, Address):
        raise program.unsupported(instruction)
    if operand.base is None:
        absolute = U64.type(operand.offset & (2**64 - 1))
        return lambda frame: absolute
    if isinstance(operand.base, Symbol):
        symbol = Symbol(operand.base.name, operand.offset)
        return program.address_of(symbol, U64, instruction)
    slot = program.slot(operand.base.name)
    dtype = program.stored[slot]
    if not operand.offset:
        return lambda frame: frame[slot]
    offset = dtype.type(operand.offset & ((1 << 8 * dtype.itemsize) - 1))
    return lambda frame: frame[slot] + offset


def chosen(
    program: Program, instruction: Instruction
) -> Callable[[Frame], tuple[Array, Array | None]]:
    """Gives the threads for which the guard holds: their numbers, and places; None for all."""
    if instruction.guard is None:
        return lambda frame: (frame.ids, None)
    guard = program.guard(instruction.guard)

    def choose(frame: Frame) -> tuple[Array, Array | None]:
        active = spread(guard(frame), frame.count)
        if active.all():
            return frame.ids, None
        places = np.flatnonzero(active)
        return frame.ids[places], places

    return choose


def picked(value: Any, frame: Frame, places: Array | None) -> Array:
    """A value of the chosen threads, as an array."""
    whole = spread(value, frame.count)
    return whole if places is None else whole[places]


def _load(program: Program, instruction: Instruction) -> Operation:
    space = space_of(instruction)
    target, source = instruction.operands[:2]
    kind = type_of(instruction)
    items = target.items if isinstance(target, Vector) else (target,)
    results = [program.write(item, kind, instruction) for item in items]
    if space == "param" and _is_kernel_parameter(program, source):
        return _load_parameter(program, instruction, results)
    if space == "param":
        space = "local" if _is_variable(program, source) else "generic"
    site = site_of(program, instruction, space)
    address, choose = address_of(program, source, instruction), chosen(program, instruction)
    typed = DTYPES[kind]

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        machine = frame.machine
        loaded = machine.access.load(site, ids, picked(address(frame), frame, places))
        for (slot, write), bits in zip(results, loaded, strict=True):
            before = frame[slot]
            value = bits.view(typed)
            if places is not None:
                spread = np.zeros(frame.count, typed)
                spread[places] = value
                value = spread
            if write is None:
                frame[slot] = value
            else:
                write(frame, value)
            if places is not None:
                active = np.zeros(frame.count, bool)
                active[places] = True
                frame[slot] = np.where(active, frame[slot], before)
        if site.fences:
            machine.fence(ids, instruction, in_block=instruction.has("cta"))

    return run


def _is_kernel_parameter(program: Program, operand: Operand) -> bool:
    base = operand.base if isinstance(operand, Address) else None
    return isinstance(base, Symbol) and any(
        parameter.name == base.name for parameter in program.function.parameters
    )


def _is_variable(program: Program, operand: Operand) -> bool:
    base = operand.base if isinstance(operand, Address) else None
    return isinstance(base, Symbol) and base.name in program.function.variables


def _load_parameter(
    program: Program, instruction: Instruction, results: list[tuple[int, Any]]
) -> Operation:
    source = instruction.operands[1]
    assert isinstance(source, Address)  # noqa: S101 - the caller has looked
    assert isinstance(source.base, Symbol)  # noqa: S101
    name, offset = source.base.name, source.offset
    dtype = DTYPES[type_of(instruction)]

    def run(frame: Frame) -> None:
        start = offset
        for slot, write in results:
            value = frame.machine.parameter(name, start, dtype)
            if write is None:
                frame[slot] = value
            else:
                write(frame, value)
            start += dtype.itemsize

    if instruction.guard is not None:
        from pluginkit.ptx.decode import guarded

        return guarded(program, instruction, run, [slot for slot, _ in results])
    return run


def _store(program: Program, instruction: Instruction) -> Operation:
    space = space_of(instruction)
    target, source = instruction.operands[:2]
    if space == "param":
        space = "local" if _is_variable(program, target) else "generic"
    site = site_of(program, instruction, space)
    address, choose = address_of(program, target, instruction), chosen(program, instruction)
    kind = f"b{8 * site.dtype.itemsize}"
    items = source.items if isinstance(source, Vector) else (source,)
    values = [program.read(item, kind, instruction) for item in items]

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        if site.fences:
            frame.machine.fence(ids, instruction, in_block=instruction.has("cta"))
        given = [picked(value(frame), frame, places) for value in values]
        frame.machine.access.store(site, ids, picked(address(frame), frame, places), given)

    return run


def _move(program: Program, instruction: Instruction) -> Operation:
    from pluginkit.ptx.decode import guarded

    kind = type_of(instruction)
    target, source = instruction.operands
    if isinstance(target, Vector):
        return _unpack(program, instruction, target, source)
    slot, write = program.write(target, kind, instruction)
    if isinstance(source, Vector):
        read = _packed(program, instruction, source)
    elif isinstance(source, Symbol) and source.name == "WARP_SZ":
        read = program.read(Register("WARP_SZ"), kind, instruction)
    else:
        read = program.read(source, kind, instruction)

    def run(frame: Frame) -> None:
        if write is None:
            frame[slot] = read(frame)
        else:
            write(frame, read(frame))

    return guarded(program, instruction, run, [slot])


def _packed(program: Program, instruction: Instruction, source: Vector) -> Read:
    """Several small registers, the first one lowest, as one large one."""
    whole = DTYPES[type_of(instruction)]
    bits = 8 * whole.itemsize // len(source.items)
    parts = [program.read(item, f"b{bits}", instruction) for item in source.items]
    wide = UNSIGNED[whole.itemsize]

    def read(frame: Frame) -> Any:
        result = parts[0](frame).astype(wide)
        for place, part in enumerate(parts[1:], 1):
            result = result | part(frame).astype(wide) << wide.type(bits * place)
        return result.view(whole)

    return read


def _unpack(
    program: Program, instruction: Instruction, target: Vector, source: Operand
) -> Operation:
    from pluginkit.ptx.decode import guarded

    kind = type_of(instruction)
    whole = DTYPES[kind]
    bits = 8 * whole.itemsize // len(target.items)
    read = program.read(source, f"b{8 * whole.itemsize}", instruction)
    narrow, wide = UNSIGNED[bits // 8], UNSIGNED[whole.itemsize]
    results = [program.write(item, f"b{bits}", instruction) for item in target.items]

    def run(frame: Frame) -> None:
        value = read(frame)
        for place, (slot, write) in enumerate(results):
            part = (value >> wide.type(bits * place)).astype(narrow)
            if write is None:
                frame[slot] = part
            else:
                write(frame, part)

    return guarded(program, instruction, run, [slot for slot, _ in results])


def _convert_address(program: Program, instruction: Instruction) -> Operation:
    from pluginkit.ptx.decode import guarded

    space, kind = space_of(instruction), type_of(instruction)
    slot, write = program.write(instruction.operands[0], kind, instruction)
    read = program.read(instruction.operands[1], kind, instruction)
    base = GENERIC_BASE.get(space, 0) & (2**64 - 1)
    if kind == "u32" and base:
        raise program.unsupported(instruction, "32-bit generic addresses")
    distance = DTYPES[kind].type(base)
    to_space = instruction.has("to")

    def run(frame: Frame) -> None:
        value = read(frame)
        if base:
            value = value - distance if to_space else value + distance
        if write is None:
            frame[slot] = value
        else:
            write(frame, value)

    return guarded(program, instruction, run, [slot])


def _is_in_space(program: Program, instruction: Instruction) -> Operation:
    from pluginkit.ptx.decode import guarded

    space = space_of(instruction)
    slot, _ = program.write(instruction.operands[0], "pred", instruction)
    read = program.read(instruction.operands[1], "u64", instruction)
    bits = U64.type(WINDOW_BITS["global"])

    def run(frame: Frame) -> None:
        window = read(frame) >> bits
        is_shared, is_local = window == SHARED_WINDOW, window == LOCAL_WINDOW
        if space == "shared":
            frame[slot] = is_shared
        elif space == "local":
            frame[slot] = is_local
        else:
            frame[slot] = ~(is_shared | is_local)

    return guarded(program, instruction, run, [slot])


def _fence(program: Program, instruction: Instruction) -> Operation:
    if instruction.has("proxy", "mbarrier_init"):
        raise program.unsupported(instruction)
    choose = chosen(program, instruction)
    in_block = instruction.has("cta")

    def run(frame: Frame) -> None:
        ids, _ = choose(frame)
        if len(ids):
            frame.machine.fence(ids, instruction, in_block=in_block)

    return run


def _nothing(program: Program, instruction: Instruction) -> None:
    """Hints, and waiting by itself."""


EFFECTS: dict[str, Effect] = {
    "ld": _load,
    "ldu": _load,
    "st": _store,
    "mov": _move,
    "cvta": _convert_address,
    "isspacep": _is_in_space,
    "membar": _fence,
    "fence": _fence,
    "atom": atomic_operations.atomic,
    "red": atomic_operations.atomic,
    "cp": copies.copy,
    "call": runtime.call,
    "trap": runtime.trap,
    "brkpt": _nothing,
    "prefetch": _nothing,
    "prefetchu": _nothing,
    "nanosleep": _nothing,
    "discard": _nothing,
    "applypriority": _nothing,
    "pmevent": _nothing,
    "griddepcontrol": _nothing,
    "setmaxnreg": _nothing,
}
