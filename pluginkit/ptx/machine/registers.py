"""The registers of a wave's threads, and the frame in which some of them compute."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Destination, Frame, MachineForInstructions
from pluginkit.ptx.code.program import DecodedBlock
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.code.special_registers import SPECIAL, UNIFORM
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.machine.warp_operations import Lanes
from pluginkit.ptx.types import PRED, Array


class WaveRegisters:
    """The registers of a wave.

    Args:
        slots: the kernel's slots.
        threads: the wave's threads.
        uniform: the values of the special registers that all threads share.
        machine: the machine that runs the threads.

    Attributes:
        frame: the frame of the threads that run.
        all_ids: the numbers of all threads.
    """

    def __init__(
        self,
        slots: Slots,
        threads: Threads,
        uniform: dict[str, object],
        machine: MachineForInstructions,
    ) -> None:
        self._slots, self._threads, self._uniform = slots, threads, uniform
        self.all_ids = np.arange(threads.count)
        self.frame = Frame()
        self.frame.machine = machine
        self.frame.ids, self.frame.size = self.all_ids, threads.count
        self._values: list[Array | None] = []
        #: How many constants and names have their slots.
        self._known = (0, 0)
        self._special: dict[int, str] = {}
        self._filled: set[int] = set()
        self._unsaved: set[int] = set()
        self._lanes: Lanes | None = None
        self._all_lanes: Lanes | None = None

    def fill(self, block: DecodedBlock, ids: Array) -> Frame:
        """Return the frame of some threads, filled with the registers that a basic block reads.

        Values stay in the frame while the same threads run one basic block after another.
        """
        frame = self.frame
        if len(frame) < len(self._slots.stored):
            self._grow()
        if len(ids) == self._threads.count:
            ids = self.all_ids
        if ids is not frame.ids:
            self._save()
            self._filled.clear()
            frame.ids, frame.size = ids, len(ids)
            self._lanes = None
        for slot in block.reads:
            if slot not in self._filled:
                whole = self._array(slot)
                frame[slot] = whole.copy() if ids is self.all_ids else whole[ids]
                self._filled.add(slot)
        return frame

    def keep(self, block: DecodedBlock) -> None:
        """Keep the results of a basic block that later ones read."""
        self._unsaved.update(block.writes)
        self._filled.update(block.writes)

    def set(self, put: Destination, ids: Array, value: Array) -> None:
        """Put values of some threads into a register."""
        self._save()
        self._filled.discard(put.slot)
        put(self.frame, value)
        self._array(put.slot)[ids] = self.frame[put.slot]

    def value(self, name: str) -> Array | None:
        """Return a register of every thread; None if no instruction has used it yet."""
        slot = self._slots.by_name.get(name)
        if slot is None or slot >= len(self.frame):
            return None
        if name in UNIFORM:
            return np.full(self._threads.count, self.frame[slot])
        self._save()
        found = self._values[slot]
        return None if found is None else found.copy()

    @property
    def lanes(self) -> Lanes:
        """The lanes of the frame's threads."""
        ids = self.frame.ids
        if ids is self.all_ids:
            if self._all_lanes is None:
                self._all_lanes = Lanes(self._threads, ids)
            return self._all_lanes
        if self._lanes is None:
            self._lanes = Lanes(self._threads, ids)
        return self._lanes

    def _save(self) -> None:
        ids = self.frame.ids
        places = slice(None) if ids is self.all_ids else ids
        for slot in self._unsaved:
            self._array(slot)[places] = self.frame[slot]
        self._unsaved.clear()

    def _grow(self) -> None:
        """Add the slots of basic blocks that have been decoded since."""
        slots = self._slots
        missing = len(slots.stored) - len(self.frame)
        self.frame.extend([None] * missing)
        self._values.extend([None] * missing)
        known_constants, known_names = self._known
        self._known = len(slots.constants), len(slots.by_name)
        for slot, value in islice(slots.constants.items(), known_constants, None):
            self.frame[slot] = value
        for name, slot in islice(slots.by_name.items(), known_names, None):
            if name in UNIFORM:
                self.frame[slot] = self._uniform[name]
            elif name in SPECIAL:
                self._special[slot] = name

    def _array(self, slot: int) -> Array:
        found = self._values[slot]
        if found is None:
            if slot in self._special:
                found = self._threads.values(self._special[slot])
            else:
                found = _undefined(self._threads.count, self._slots.stored[slot])
            self._values[slot] = found
        return found


def _undefined(count: int, dtype: np.dtype[Any]) -> Array:
    """Return what a register holds before anything is written: NaN, or a large number, or true.

    A kernel that uses it then gives a wrong result, unlike with zeros.
    """
    if dtype == PRED:
        return np.ones(count, dtype)
    halves = np.full(-(-count * dtype.itemsize // 2), 0x7FFF, np.uint16)
    return halves.view(dtype)[:count]
