"""Hold the copies of ``cp.async`` until their threads have waited for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.types import Array


@dataclass(frozen=True)
class _Copy:
    """The copies of one instruction: targets, values and groups of its threads."""

    access: MemoryAccess
    ids: Array
    addresses: Array
    values: list[Array]
    groups: Array

    def some(self, chosen: Array) -> _Copy:
        """Return the copies of the chosen threads."""
        values = [value[chosen] for value in self.values]
        return _Copy(
            self.access, self.ids[chosen], self.addresses[chosen], values, self.groups[chosen]
        )


class PendingCopies:
    """The pending copies of a wave.

    Args:
        threads: how many threads the wave has.
    """

    def __init__(self, threads: int) -> None:
        self._groups = np.zeros(threads, np.int64)
        self._begun: list[_Copy] = []

    def begin(
        self, access: MemoryAccess, ids: Array, addresses: Array, values: list[Array]
    ) -> None:
        """Begin a copy in the threads' current group."""
        self._begun.append(_Copy(access, ids, addresses, values, self._groups[ids]))

    def commit(self, ids: Array) -> None:
        """End the threads' current group."""
        self._groups[ids] += 1

    def wait(self, memory: CheckedMemory, ids: Array, groups_left: int | None) -> None:
        """Finish all but the last ``groups_left`` groups of copies; None finishes all."""
        is_waiting = np.zeros(len(self._groups), bool)
        is_waiting[ids] = True
        begun, self._begun = self._begun, []
        for copy in begun:
            is_done = is_waiting[copy.ids]
            if groups_left is not None:
                is_done &= copy.groups < self._groups[copy.ids] - groups_left
            if is_done.any():
                done = copy.some(is_done)
                memory.store(done.access, done.ids, done.addresses, done.values)
            if not is_done.all():
                self._begun.append(copy.some(~is_done))
