"""``cp.async``: copies to shared memory, which take effect when their thread waits for them."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import active_threads, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects import bulk_copy_instructions
from pluginkit.ptx.effects.mbarrier_instructions import arrive_after_copies
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.text.immediates import parse_integer
from pluginkit.ptx.text.syntax import Immediate, Instruction
from pluginkit.ptx.types import U8


def copy(slots: Slots, instruction: Instruction) -> Operation | None:
    """``cp.async``, ``.commit_group``, ``.wait_group``, ``.mbarrier.arrive`` and ``.bulk``."""
    if not instruction.has("async") or instruction.has("reduce", "tensor"):
        raise slots.unsupported(instruction)
    if instruction.has("bulk"):
        return bulk_copy_instructions.copy(slots, instruction)
    if instruction.has("mbarrier"):
        return arrive_after_copies(slots, instruction)
    if instruction.has("wait_all", "wait_group"):
        return _wait(slots, instruction)
    if instruction.has("commit_group"):
        return lambda frame: frame.machine.copies.commit(frame.ids)
    return _begin(slots, instruction)


def _wait(slots: Slots, instruction: Instruction) -> Operation:
    left = None
    if instruction.has("wait_group"):
        count = instruction.operands[0]
        if not isinstance(count, Immediate):
            raise slots.unsupported(instruction)
        left = parse_integer(count.text)
    return lambda frame: frame.machine.copies.wait(frame.machine.memory, frame.ids, left)


def _begin(slots: Slots, instruction: Instruction) -> Operation:
    size = instruction.operands[2]
    if not isinstance(size, Immediate):
        raise slots.unsupported(instruction)
    nbytes = parse_integer(size.text)
    target = slots.read_address(instruction.operands[0], instruction)
    source = slots.read_address(instruction.operands[1], instruction)
    given = instruction.operands[3] if len(instruction.operands) > 3 else size
    copied = slots.read(given, "u32", instruction)
    choose = active_threads(slots, instruction)
    loads = MemoryAccess(instruction, "global", np.dtype(U8), 1)
    stores = MemoryAccess(instruction, "shared", np.dtype(U8), nbytes)

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        addresses = values_at(source(frame), frame, places)
        count = values_at(copied(frame), frame, places)
        values = [np.zeros(len(ids), U8) for _ in range(nbytes)]
        for byte in range(nbytes):  # bytes that are not copied stay zero
            taken = np.flatnonzero(count > byte)
            if len(taken):
                here = addresses[taken] + addresses.dtype.type(byte)
                values[byte][taken] = frame.machine.memory.load(loads, ids[taken], here)[0]
        machine, targets = frame.machine, values_at(target(frame), frame, places)
        machine.copies.begin(machine.memory, stores, ids, targets, values)

    return run
