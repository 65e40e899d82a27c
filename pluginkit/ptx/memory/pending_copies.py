"""Hold asynchronous copies until a thread has waited for them.

A copy is noted as a write when it begins, and again when its thread has waited for it or lets an
mbarrier track it: until then, nobody may rely on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.memory.stores import PlannedStore
from pluginkit.ptx.types import Array


@dataclass(frozen=True)
class _Copy:
    """The copies of one instruction.

    Attributes:
        number: how many instructions had begun copies with it.
        access, planned: what they store.
        groups: the group of each thread.
        is_tracked: whether an mbarrier tracks them.
    """

    number: int
    access: MemoryAccess
    planned: PlannedStore
    groups: Array
    is_tracked: bool = False

    @property
    def ids(self) -> Array:
        return self.planned.part.ids

    def some(self, chosen: Array) -> _Copy:
        """Return the copies of the chosen threads."""
        return replace(self, planned=self.planned.some(chosen), groups=self.groups[chosen])


class PendingCopies:
    """The pending copies of a wave.

    Args:
        threads: how many threads the wave has.
    """

    def __init__(self, threads: int) -> None:
        self._groups = np.zeros(threads, np.int64)
        self._begun: list[_Copy] = []
        self._next = 0

    def begin(
        self,
        memory: CheckedMemory,
        access: MemoryAccess,
        ids: Array,
        addresses: Array,
        values: list[Array],
    ) -> None:
        """Begin a copy in the threads' current group."""
        self._next += 1
        for part in memory.parts_to_store(access, ids, addresses):
            planned = memory.plan(access, part, values)
            memory.begin_copy(access, planned)
            self._begun.append(_Copy(self._next, access, planned, self._groups[part.ids]))

    def commit(self, ids: Array) -> None:
        """End the threads' current group."""
        self._groups[ids] += 1

    def wait(self, memory: CheckedMemory, ids: Array, groups_left: int | None) -> None:
        """Finish all but the last ``groups_left`` groups of copies; None finishes all."""
        for copy in self._take(ids, groups_left=groups_left):
            if not copy.is_tracked:
                memory.note(copy.access, copy.planned)
            memory.end_copy(copy.access, copy.planned)

    def track(self, memory: CheckedMemory, ids: Array) -> Callable[[Array], None]:
        """Return a function that ends the copies that some of these threads have begun so far."""
        last = self._next
        for copy in self._take(ids):
            if not copy.is_tracked:
                memory.note(copy.access, copy.planned)
            self._begun.append(replace(copy, is_tracked=True))  # its thread may wait for it, too

        def land(own: Array) -> None:
            for copy in self._take(own, last=last):
                memory.end_copy(copy.access, copy.planned)

        return land

    def _take(
        self, ids: Array, *, groups_left: int | None = None, last: int | None = None
    ) -> list[_Copy]:
        """Remove copies of some threads, and return them."""
        is_waiting = np.zeros(len(self._groups), bool)
        is_waiting[ids] = True
        taken, kept = [], []
        for copy in self._begun:
            is_done = is_waiting[copy.ids]
            if groups_left is not None:
                is_done &= copy.groups < self._groups[copy.ids] - groups_left
            if last is not None and copy.number > last:
                is_done[:] = False
            if is_done.any():
                taken.append(copy.some(is_done))
            if not is_done.all():
                kept.append(copy.some(~is_done))
        self._begun = kept
        return taken
