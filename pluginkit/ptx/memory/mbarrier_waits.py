"""Which phase of which mbarrier each thread waits for, in case that it never completes."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.mbarrier_state import Mbarrier, missing_arrivals
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array


class MbarrierWaits:
    """The waits of a wave's threads that have failed.

    Args:
        machine: the machine.
        threads: how many threads the wave has.
    """

    def __init__(self, machine: MachineForMemory, threads: int) -> None:
        self._machine = machine
        self._has_failed = False
        #: For each thread the number of the last one, and what each number means.
        self._last = np.zeros(threads, np.int64)
        self._waits: list[tuple[Mbarrier, int, Instruction]] = []
        self._numbers: dict[tuple[int, int, int], int] = {}

    def note(self, found: Mbarrier, instruction: Instruction, ids: Array) -> None:
        """Note that threads wait for an mbarrier's current phase."""
        key = id(found), found.phase, id(instruction)
        if key not in self._numbers:
            self._waits.append((found, found.phase, instruction))
            self._numbers[key] = len(self._waits)
        self._last[ids] = self._numbers[key]
        self._has_failed = True

    def take_failed(self) -> bool:
        """Return whether a wait has failed since the last call."""
        failed, self._has_failed = self._has_failed, False
        return failed

    def report(self, ids: Array) -> bool:
        """Report the threads among these that wait for a phase; whether there are any."""
        is_any = False
        for number in np.unique(self._last[ids]).tolist():
            found, phase, instruction = self._waits[number - 1] if number else (None, 0, None)
            if found is None or instruction is None or found.phase != phase:
                continue
            is_any = True
            self._machine.report(
                "deadlock", instruction, ids[self._last[ids] == number],
                missing_arrivals(self._machine, found),
                other=found.arrived[-1][1] if found.arrived else None,
            )  # fmt: skip
        return is_any

    def check_age(
        self, found: Mbarrier, instruction: Instruction, ids: Array, phases: Array
    ) -> None:
        """Report threads that wait for phases before the last one that has completed."""
        is_old = phases + 1 < found.phase
        if is_old.any():
            self._machine.report(
                "barrier", instruction, ids[is_old],
                f"threads wait for phase {int(phases[is_old][0])} of {found.name}, which is in "
                f"phase {found.phase}: two phases have completed since they arrived, of which a "
                "GPU sees no more than the parity",
            )  # fmt: skip
