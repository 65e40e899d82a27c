"""Execute the instructions that :mod:`pluginkit.ptx.code.undefined_registers` adds to a kernel."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation, Read
from pluginkit.ptx.code.guards import active_threads, guarded, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Instruction, Operand, Register, Vector
from pluginkit.ptx.types import DTYPES, Array


def flow(slots: Slots, instruction: Instruction) -> Operation:
    """``undefined_flow``: a result is undefined if any source is."""
    target, *sources = instruction.operands
    put = slots.destination(target, "pred", instruction)
    reads = [_reads(slots, each, instruction) for each in sources]

    def run(frame: Frame) -> None:
        undefined = np.False_
        for read in reads:
            undefined = undefined | read(frame)
        put(frame, undefined)

    return guarded(slots, instruction, run, [put])


def choice(slots: Slots, instruction: Instruction) -> Operation:
    """``undefined_choice``: a result of ``selp`` is undefined if the selected source is."""
    target, first, second, condition = instruction.operands
    put = slots.destination(target, "pred", instruction)
    one, other = (_reads(slots, each, instruction) for each in (first, second))
    chooses = slots.read(condition, "pred", instruction)

    def run(frame: Frame) -> None:
        put(frame, np.where(chooses(frame), one(frame), other(frame)))

    return guarded(slots, instruction, run, [put])


def use(slots: Slots, instruction: Instruction) -> Operation:
    """``undefined_use``: report the threads that write an undefined value to global memory."""
    choose = active_threads(slots, instruction)
    reads = [_reads(slots, each, instruction) for each in instruction.operands]

    def run(frame: Frame) -> None:
        undefined = np.False_
        for read in reads:
            undefined = undefined | read(frame)
        if undefined.any():
            ids, places = choose(frame)
            _report(frame, instruction, ids[values_at(undefined, frame, places)])

    return run


def store(slots: Slots, instruction: Instruction) -> Operation:
    """``undefined_store``: mark the bytes of undefined values that the last store has written.

    Bytes in global memory are reported.
    """
    choose = active_threads(slots, instruction)
    reads = [_reads(slots, each, instruction) for each in instruction.operands]
    size = DTYPES[type_of(instruction)].itemsize

    def run(frame: Frame) -> None:
        undefined = [read(frame) for read in reads]
        if not any(map(np.any, undefined)):
            return
        ids, places = choose(frame)
        for index, each in enumerate(undefined):
            values = values_at(each, frame, places)
            for part in frame.machine.memory.last_parts if len(ids) else ():
                own = part.of(values)
                if part.region.space == "global":
                    _report(frame, instruction, part.ids[own])
                else:
                    part.region.mark_undefined(size, part.elements(index)[own])

    return run


def load(slots: Slots, instruction: Instruction) -> Operation:
    """``undefined_load``: find the threads for which the last load has read undefined values."""
    choose = active_threads(slots, instruction)
    (targets,) = instruction.operands
    items = targets.items if isinstance(targets, Vector) else ()
    puts = [
        slots.destination(each, "pred", instruction) if isinstance(each, Register) else None
        for each in items
    ]
    size = DTYPES[type_of(instruction)].itemsize

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        for index, put in enumerate(puts):
            if put is None:
                continue
            undefined = np.zeros(len(ids), bool)
            for part in frame.machine.memory.last_parts:
                found = part.region.undefined(size, part.elements(index))
                undefined[... if part.places is None else part.places] = found
            put.to_some(frame, undefined, places)

    return run


def _report(frame: Frame, instruction: Instruction, ids: Array) -> None:
    if not len(ids):
        return
    special = getattr(instruction, "special", None)
    kind, source = "uninitialised", "a variable that nothing has set"
    if special is not None:
        kind, source = "unrepeatable", f"{special}, which differs from run to run or between GPUs"
    is_product = instruction.has("sync") and not instruction.has("store")
    what = "what a product of matrices adds" if is_product else "the value that is written"
    frame.machine.report(
        kind, instruction, ids, f"{what} follows from {source}",
        other=getattr(instruction, "first_read", None),
    )  # fmt: skip


def _reads(slots: Slots, operand: Operand, instruction: Instruction) -> Read:
    if isinstance(operand, Register):
        return slots.read(operand, "pred", instruction)
    return lambda frame: np.False_
