"""Bulk copies (``cp.async.bulk``) between global and shared memory, until somebody waits for them.

One from global memory arrives when the mbarrier is asked that tracks it. One to global memory reads
shared memory when its thread waits for that, and writes when it waits for the whole copy: as late
as a GPU may.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.mbarriers import Mbarriers
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U64, Array

#: Addresses and sizes are multiples of so many bytes.
ALIGNMENT = 16


@dataclass(frozen=True)
class BulkCopy:
    """One copy of one thread.

    Attributes:
        instruction: the instruction.
        thread: the thread's number in the wave.
        target, source: the addresses.
        nbytes: how many bytes it copies.
    """

    instruction: Instruction
    thread: int
    target: int
    source: int
    nbytes: int

    def load(self, memory: CheckedMemory, space: str) -> list[Array]:
        """Read the source."""
        return memory.load(self._access(space), self._ids, self._rows(self.source))

    def targets(self, space: str) -> tuple[MemoryAccess, Array, Array]:
        """Return how the copy writes its target, in pieces of 16 bytes."""
        return self._access(space), self._ids, self._rows(self.target)

    def _access(self, space: str) -> MemoryAccess:
        return MemoryAccess(self.instruction, space, U64, ALIGNMENT // U64.itemsize)

    @property
    def _ids(self) -> Array:
        return np.full(self.nbytes // ALIGNMENT, self.thread)

    def _rows(self, first: int) -> Array:
        rows: Array = first + np.arange(0, self.nbytes, ALIGNMENT, dtype=U64)
        return rows


@dataclass(eq=False)
class _ToGlobal:
    """A copy to global memory, its group, and what it has read."""

    copy: BulkCopy
    group: int
    values: list[Array] | None = None


class BulkCopies:
    """The bulk copies of a wave.

    Args:
        machine: the machine.
        memory: its memory.
        mbarriers: its mbarriers.
    """

    def __init__(
        self, machine: MachineForMemory, memory: CheckedMemory, mbarriers: Mbarriers
    ) -> None:
        self._machine, self._memory, self._mbarriers = machine, memory, mbarriers
        self._on_the_way: dict[int, BulkCopy] = {}
        self._to_global: list[_ToGlobal] = []
        self._groups: dict[int, int] = {}
        self._next = 0

    def to_shared(self, copy: BulkCopy, barrier: MemoryAccess, address: int) -> None:
        """Begin a copy from global to shared memory, which an mbarrier tracks."""
        memory, plans = self._memory, []
        if self._is_valid(copy, "global", "shared"):
            values = copy.load(memory, "global")
            access, ids, addresses = copy.targets("shared")
            for part in memory.parts_to_store(access, ids, addresses):
                planned = memory.plan(access, part, values)
                memory.begin_copy(access, planned)
                plans.append((access, planned))
        self._next += 1
        number = self._next
        self._on_the_way[number] = copy

        def land() -> None:
            del self._on_the_way[number]
            for access, planned in plans:
                memory.end_copy(access, planned)

        self._mbarriers.track_bytes(barrier, copy.thread, address, copy.nbytes, land)

    def to_global(self, copy: BulkCopy) -> None:
        """Begin a copy from shared to global memory, in the thread's current group."""
        if self._is_valid(copy, "shared", "global"):
            copy.load(self._memory, "shared")
            self._memory.check_proxies(copy.instruction, copy.thread)
            self._to_global.append(_ToGlobal(copy, self._groups.get(copy.thread, 0)))

    def commit(self, ids: Array) -> None:
        """End the threads' current group."""
        for thread in ids.tolist():
            self._groups[thread] = self._groups.get(thread, 0) + 1

    def wait(self, ids: Array, groups_left: int, *, is_read: bool) -> None:
        """Wait for all but the last groups, or until they have read their sources."""
        threads, kept = set(ids.tolist()), []
        for one in self._to_global:
            last = self._groups.get(one.copy.thread, 0) - groups_left
            if one.copy.thread in threads and one.group < last:
                self._read(one)
                if not is_read:
                    self._write(one)
                    continue
            kept.append(one)
        self._to_global = kept

    def end(self, ids: Array) -> None:
        """End the copies of threads that end."""
        if not self._to_global:
            return
        threads, kept = set(ids.tolist()), []
        for one in self._to_global:
            if one.copy.thread not in threads:
                kept.append(one)
                continue
            if one.values is None:
                self._report(
                    one.copy, "a thread ends before its bulk copy has read shared memory; execute "
                    "cp.async.bulk.commit_group and cp.async.bulk.wait_group.read 0 before",
                )  # fmt: skip
            self._read(one)
            self._write(one)
        self._to_global = kept

    def end_wave(self) -> None:
        """Report copies for which nobody has waited."""
        for copy in self._on_the_way.values():
            self._report(
                copy, "the block ends before a bulk copy to its shared memory has ended; wait for "
                "the phase of its mbarrier",
            )  # fmt: skip
        self._on_the_way.clear()

    def _read(self, one: _ToGlobal) -> None:
        if one.values is None:
            one.values = one.copy.load(self._memory, "shared")

    def _write(self, one: _ToGlobal) -> None:
        self._memory.store(*one.copy.targets("global"), one.values or [])

    def _is_valid(self, copy: BulkCopy, source: str, target: str) -> bool:
        """Check size, alignment and bounds; report what is wrong."""
        if copy.nbytes % ALIGNMENT:
            self._machine.report(
                "misaligned", copy.instruction, np.array([copy.thread]),
                f"a bulk copy has {copy.nbytes} bytes; expected a multiple of {ALIGNMENT}",
            )  # fmt: skip
            return False
        for space, address, verb in (
            (source, copy.source, "read"), (target, copy.target, "written"),
        ):  # fmt: skip
            access = MemoryAccess(
                copy.instruction, space, U64, copy.nbytes // U64.itemsize, alignment=ALIGNMENT
            )
            ids, where = np.array([copy.thread]), np.array([address], U64)
            if not list(self._memory.parts(access, ids, where, verb)):
                return False
        return copy.nbytes > 0

    def _report(self, copy: BulkCopy, message: str) -> None:
        self._machine.report("race", copy.instruction, np.array([copy.thread]), message)
