"""``mbarrier``, and the arrival of ``cp.async`` at one."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import active_threads, guarded, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.state_spaces import space_of
from pluginkit.ptx.memory.mbarriers import MOST_ARRIVALS
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.text.syntax import Immediate, Instruction
from pluginkit.ptx.types import U32, U64

_KNOWN = {
    *("init", "inval", "arrive", "arrive_drop", "noComplete", "expect_tx", "complete_tx"),
    *("test_wait", "try_wait", "parity", "pending_count", "b64", "shared", "shared::cta"),
    *("shared::cluster", "release", "acquire", "relaxed", "cta", "cluster"),
}
_ONE = Immediate("1")


def mbarrier_access(instruction: Instruction, space: str | None = None) -> MemoryAccess:
    """Return how an instruction accesses the word of an mbarrier."""
    is_strong = not instruction.has("init")
    return MemoryAccess(instruction, space or space_of(instruction), U64, is_strong=is_strong)


def mbarrier(slots: Slots, instruction: Instruction) -> Operation:
    """``mbarrier``: all of its forms."""
    if not {*instruction.modifiers} <= _KNOWN:
        raise slots.unsupported(instruction)
    if instruction.has("pending_count"):
        return _pending_count(slots, instruction)
    if instruction.has("test_wait", "try_wait"):
        return _wait(slots, instruction)
    if instruction.has("arrive", "arrive_drop"):
        return _arrive(slots, instruction)
    return _without_result(slots, instruction)


def _pending_count(slots: Slots, instruction: Instruction) -> Operation:
    target, state = instruction.operands
    put, read = slots.destination(target, "u32", instruction), slots.read(state, "b64", instruction)
    mask = U64.type(MOST_ARRIVALS)
    return guarded(
        slots, instruction, lambda frame: put(frame, (read(frame) & mask).astype(U32)), [put]
    )


def _without_result(slots: Slots, instruction: Instruction) -> Operation:
    """``init``, ``inval``, ``expect_tx``, ``complete_tx``."""
    where, *rest = instruction.operands
    address, choose = slots.read_address(where, instruction), active_threads(slots, instruction)
    read = slots.read(rest[0] if rest else _ONE, "u32", instruction)
    access, sign = mbarrier_access(instruction), -1 if instruction.has("complete_tx") else 1

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        mbarriers = frame.machine.mbarriers
        addresses = values_at(address(frame), frame, places)
        number = values_at(read(frame), frame, places)
        if instruction.has("init"):
            mbarriers.init(access, ids, addresses, number)
        elif instruction.has("inval"):
            mbarriers.invalidate(access, ids, addresses)
        else:
            mbarriers.announce(access, ids, addresses, sign * number.astype(np.int64))

    return run


def _arrive(slots: Slots, instruction: Instruction) -> Operation:
    target, where, *rest = instruction.operands
    put = slots.destination(target, "b64", instruction)
    address, choose = slots.read_address(where, instruction), active_threads(slots, instruction)
    read = slots.read(rest[0] if rest else _ONE, "u32", instruction)
    access, announces = mbarrier_access(instruction), instruction.has("expect_tx")

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        number = values_at(read(frame), frame, places)
        tokens = frame.machine.mbarriers.arrive(
            access, ids, values_at(address(frame), frame, places),
            np.ones(len(ids), U32) if announces else number,
            number if announces else None,
            drops=instruction.has("arrive_drop"),
            must_not_complete=instruction.has("noComplete"),
            orders=not instruction.has("relaxed"),
        )  # fmt: skip
        put.to_some(frame, tokens, places)

    return run


def _wait(slots: Slots, instruction: Instruction) -> Operation:
    target, where, asked = instruction.operands[:3]
    is_parity = instruction.has("parity")
    put = slots.destination(target, "pred", instruction)
    address, choose = slots.read_address(where, instruction), active_threads(slots, instruction)
    read = slots.read(asked, "u32" if is_parity else "b64", instruction)
    access = mbarrier_access(instruction)

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        done = frame.machine.mbarriers.wait(
            access, ids, values_at(address(frame), frame, places),
            values_at(read(frame), frame, places),
            is_parity=is_parity, orders=not instruction.has("relaxed"),
        )  # fmt: skip
        put.to_some(frame, done, places)

    return run


def arrive_after_copies(slots: Slots, instruction: Instruction) -> Operation:
    """``cp.async.mbarrier.arrive``: arrives once the copies of its thread have ended."""
    address = slots.read_address(instruction.operands[0], instruction)
    choose, access = active_threads(slots, instruction), mbarrier_access(instruction)
    increments = not instruction.has("noinc")

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        machine = frame.machine
        land = machine.copies.track(machine.memory, ids)
        addresses = values_at(address(frame), frame, places)
        machine.mbarriers.track(access, ids, addresses, land, increments=increments)

    return run
