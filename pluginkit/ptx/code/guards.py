"""Run an instruction only for the threads whose guard predicate is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Destination, Frame, Operation, broadcast
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array


def guarded(
    slots: Slots, instruction: Instruction, operation: Operation, puts: Sequence[Destination]
) -> Operation:
    """Restrict an operation to the threads whose guard is true; others keep their registers."""
    if instruction.guard is None:
        return operation
    guard = slots.guard(instruction.guard)

    def run(frame: Frame) -> None:
        active = guard(frame)
        old = [frame[put.slot] for put in puts]
        operation(frame)
        for put, before in zip(puts, old, strict=True):
            frame[put.slot] = np.where(active, frame[put.slot], before)

    return run


def active_threads(
    slots: Slots, instruction: Instruction
) -> Callable[[Frame], tuple[Array, Array | None]]:
    """Return a function that gives the threads whose guard is true, and their positions.

    The positions are None if the guard is true for all threads.
    """
    if instruction.guard is None:
        return lambda frame: (frame.ids, None)
    guard = slots.guard(instruction.guard)

    def choose(frame: Frame) -> tuple[Array, Array | None]:
        active = broadcast(guard(frame), frame.size)
        if active.all():
            return frame.ids, None
        places = np.flatnonzero(active)
        return frame.ids[places], places

    return choose


def values_at(value: Any, frame: Frame, places: Array | None) -> Array:
    """Return a value of the threads at some positions (None: of all) as an array."""
    whole = broadcast(value, frame.size)
    return whole if places is None else whole[places]
