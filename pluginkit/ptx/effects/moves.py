"""``mov``, ``cvta`` and ``isspacep``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation, Read
from pluginkit.ptx.code.guards import guarded
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.code.special_registers import CLOCKS
from pluginkit.ptx.effects.state_spaces import space_of
from pluginkit.ptx.memory.regions import GENERIC_BASE, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BITS
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Instruction, Operand, Register, Vector
from pluginkit.ptx.types import DTYPES, U64, UNSIGNED


def move(slots: Slots, instruction: Instruction) -> Operation:
    """``mov``: moves a value or an address, packs small registers into a large one, or unpacks."""
    kind = type_of(instruction)
    target, source = instruction.operands
    if isinstance(target, Vector):
        return _unpack(slots, instruction, target, source)
    put = slots.destination(target, kind, instruction)
    if isinstance(source, Vector):
        read = _packed(slots, instruction, source)
    elif isinstance(source, Register) and source.name in CLOCKS:
        read = _clock(source.name, DTYPES[kind])
    else:
        read = slots.read(source, kind, instruction)
    return guarded(slots, instruction, lambda frame: put(frame, read(frame)), [put])


def _clock(name: str, wanted: np.dtype[Any]) -> Read:
    """Return a function that reads a clock; all of them count the same cycles."""
    shift = 32 if name.endswith("_hi") else 0
    unsigned = UNSIGNED[wanted.itemsize]
    mask = (1 << 8 * wanted.itemsize) - 1
    return lambda frame: unsigned.type(frame.machine.clock() >> shift & mask).view(wanted)


def _packed(slots: Slots, instruction: Instruction, source: Vector) -> Read:
    """Return a function that packs small registers into a large one, the first one lowest."""
    whole = DTYPES[type_of(instruction)]
    bits = 8 * whole.itemsize // len(source.items)
    parts = [slots.read(item, f"b{bits}", instruction) for item in source.items]
    wide = UNSIGNED[whole.itemsize]

    def read(frame: Frame) -> Any:
        result = parts[0](frame).astype(wide)
        for place, part in enumerate(parts[1:], 1):
            result = result | part(frame).astype(wide) << wide.type(bits * place)
        return result.view(whole)

    return read


def _unpack(slots: Slots, instruction: Instruction, target: Vector, source: Operand) -> Operation:
    wide = UNSIGNED[DTYPES[type_of(instruction)].itemsize]
    bits = 8 * wide.itemsize // len(target.items)
    read = slots.read(source, f"b{8 * wide.itemsize}", instruction)
    puts = [slots.destination(item, f"b{bits}", instruction) for item in target.items]

    def run(frame: Frame) -> None:
        value = read(frame)
        for place, put in enumerate(puts):
            put(frame, (value >> wide.type(bits * place)).astype(UNSIGNED[bits // 8]))

    return guarded(slots, instruction, run, puts)


def convert_address(slots: Slots, instruction: Instruction) -> Operation:
    """``cvta``: converts between an address in a state space and a generic address."""
    space, kind = space_of(instruction), type_of(instruction)
    put = slots.destination(instruction.operands[0], kind, instruction)
    read = slots.read(instruction.operands[1], kind, instruction)
    base = GENERIC_BASE.get(space, 0)
    if not base:
        return guarded(slots, instruction, lambda frame: put(frame, read(frame)), [put])
    if kind == "u32":
        raise slots.unsupported(instruction, "32-bit generic addresses")
    distance = U64.type(-base % 2**64 if instruction.has("to") else base)
    return guarded(slots, instruction, lambda frame: put(frame, read(frame) + distance), [put])


def is_in_space(slots: Slots, instruction: Instruction) -> Operation:
    """``isspacep``: whether a generic address lies in a state space."""
    space = space_of(instruction)
    put = slots.destination(instruction.operands[0], "pred", instruction)
    read = slots.read(instruction.operands[1], "u64", instruction)
    bits = U64.type(WINDOW_BITS["global"])

    def run(frame: Frame) -> None:
        window = read(frame) >> bits
        is_shared, is_local = window == SHARED_WINDOW, window == LOCAL_WINDOW
        answers = {"shared": is_shared, "local": is_local}
        put(frame, answers.get(space, ~(is_shared | is_local)))

    return guarded(slots, instruction, run, [put])
