"""The registers of some threads while they run a basic block.

Instructions are decoded to functions of a frame. Each register has a slot in it, which holds an
array with one element for each thread, or a numpy scalar if all threads have the same value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pluginkit.ptx.memory.bulk_copies import BulkCopies
from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.mbarriers import Mbarriers
from pluginkit.ptx.memory.pending_copies import PendingCopies
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import SIGNED, UNSIGNED, Array

Read = Callable[["Frame"], Any]
Write = Callable[["Frame", Any], None]
Operation = Callable[["Frame"], None]


class MachineForInstructions(MachineForMemory, Protocol):
    """The part of a machine that instructions use.

    Attributes:
        memory: loads and stores, with their checks.
        copies: the pending copies of ``cp.async``.
        mbarriers: the mbarriers in shared memory.
        bulk_copies: the pending copies of ``cp.async.bulk``.
        printed: the texts that the kernel has printed.
    """

    memory: CheckedMemory
    copies: PendingCopies
    mbarriers: Mbarriers
    bulk_copies: BulkCopies
    printed: list[str]

    def clock(self) -> int:
        """Return the cycles since the launch began."""

    def fence(self, ids: Array, instruction: Instruction, *, in_block: bool) -> None:
        """Run a fence for some threads."""

    def address_of(self, name: str) -> int:
        """Return the address of a variable in its own state space."""

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any]) -> Any:
        """Return a value in a parameter of the kernel."""


class Frame(list[Any]):
    """The values of all slots, for the threads that run.

    Attributes:
        machine: the machine that runs the threads.
        ids: the threads' numbers in the wave, ascending.
        size: the number of threads.
    """

    machine: MachineForInstructions
    ids: Array
    size: int


@dataclass(frozen=True)
class Destination:
    """The destination of results: a call puts them into a slot.

    Attributes:
        slot: the slot.
        write: converts a result and stores it; None if no conversion is needed.
    """

    slot: int
    write: Write | None

    def __call__(self, frame: Frame, value: Any) -> None:
        if self.write is None:
            frame[self.slot] = value
        else:
            self.write(frame, value)

    def to_some(self, frame: Frame, value: Array, places: Array | None) -> None:
        """Put the results of some threads (None: of all); the others keep their values."""
        if places is None:
            self(frame, value)
            return
        before = frame[self.slot]
        whole = np.zeros(frame.size, value.dtype)
        whole[places] = value
        self(frame, whole)
        is_new = np.zeros(frame.size, bool)
        is_new[places] = True
        frame[self.slot] = np.where(is_new, frame[self.slot], before)


def reader(slot: int, stored: np.dtype[Any], wanted: np.dtype[Any]) -> Read:
    """Return a function that reads a slot of type ``stored`` as type ``wanted``."""
    if stored == wanted:
        return lambda frame: frame[slot]
    if stored.itemsize == wanted.itemsize:
        return lambda frame: frame[slot].view(wanted)
    narrow = UNSIGNED[wanted.itemsize] if wanted.kind != "b" else wanted
    if stored.kind == "f":
        bits = UNSIGNED[stored.itemsize]
        return lambda frame: frame[slot].view(bits).astype(narrow).view(wanted)
    return lambda frame: frame[slot].astype(narrow).view(wanted)


def writer(slot: int, stored: np.dtype[Any], given: np.dtype[Any]) -> Write | None:
    """Return a function that stores a result of type ``given``; None if it needs no conversion."""
    if stored == given:
        return None

    if stored.itemsize == given.itemsize:

        def keep(frame: Frame, value: Any) -> None:
            frame[slot] = value.view(stored)

        return keep
    wide = (SIGNED if given.kind == "i" else UNSIGNED)[stored.itemsize]

    def extend(frame: Frame, value: Any) -> None:
        frame[slot] = value.astype(wide).view(stored)

    return extend


def broadcast(value: Any, size: int) -> Array:
    """Return a value as an array of ``size`` elements."""
    return value if isinstance(value, np.ndarray) and value.ndim else np.full(size, value)
