"""Note accesses in shadow memory, and report those that nothing orders."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.memory.races import (
    OF_BLOCK,
    STRONG,
    TIME_SHIFT,
    Conflict,
    Shadow,
    thread_of,
    time_of,
)
from pluginkit.ptx.memory.stores import PlannedStore
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array


class NotedAccesses:
    """The order of the accesses of one machine's threads.

    Args:
        machine: the machine.
    """

    def __init__(self, machine: MachineForMemory) -> None:
        self._machine = machine

    def check_scope(self, access: MemoryAccess, part: AccessPart, granules: Array) -> None:
        """Report atomics of one step on the same word by blocks outside each other's scope."""
        blocks = self._machine.block_of(part.ids)
        words, places = np.unique(granules, return_inverse=True)
        one = np.zeros(len(words), blocks.dtype)
        one[places] = blocks
        bad = one[places] != blocks
        if bad.any():
            self.report_some(
                access, part, bad, "race",
                f"atomics of the block's scope in {part.region.name} meet those of other blocks",
                other=access.instruction,
            )  # fmt: skip

    def read(self, access: MemoryAccess, part: AccessPart, shadow: Shadow) -> None:
        order = self._machine.order
        threads, granules, keys, count = self._keys(access, part, shadow)
        if access.is_strong:
            order.acquire(threads, id(part.region), granules[::count], fences=access.fences)
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        if access.instruction.has("nc"):
            self._check_read_only(access, part, shadow.writes(granules), count)
        for conflict in shadow.read(granules, keys, order.is_ordered, ordered):
            self._report_race(access, part, conflict, count, None, "reads")

    def _check_read_only(
        self, access: MemoryAccess, part: AccessPart, writes: Array, count: int
    ) -> None:
        """Report reads through the cache of data that a launch must not write, if it has."""
        places = np.flatnonzero(writes)
        if not len(places):
            return
        bad = np.zeros(len(part.offsets), bool)
        bad[places // count] = True
        self.report_some(
            access, part, bad, "race",
            f"{part.region.name} is read through the read-only cache (__ldg, or a pointer that is "
            "const and __restrict__) after the launch has written it",
            other=self._machine.instruction_at(time_of(int(writes[places[0]]))),
        )  # fmt: skip

    def write(
        self, access: MemoryAccess, part: AccessPart, shadow: Shadow, planned: PlannedStore | None
    ) -> tuple[Array, int]:
        order = self._machine.order
        threads, granules, keys, count = self._keys(access, part, shadow)
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        conflicts = shadow.write(granules, keys, order.is_ordered, ordered)
        if access.is_strong:
            order.release(threads, id(part.region), granules[::count])
        for conflict in conflicts:
            self._report_race(access, part, conflict, count, planned, "writes")
        return granules, count

    def _keys(
        self, access: MemoryAccess, part: AccessPart, shadow: Shadow
    ) -> tuple[Array, Array, Array, int]:
        """Return the threads, their granules with a key each, and how many a thread has."""
        first = self._machine.first_thread
        threads = part.ids + first if first else part.ids
        keys = threads | np.int64(self._machine.tick(access.instruction) << TIME_SHIFT)
        if access.is_strong:
            keys = keys | STRONG
            if access.is_of_block and part.region.space == "global":
                keys = keys | OF_BLOCK
        size = access.dtype.itemsize
        granules, count = shadow.granules(part.first * size, min(size, 8), access.nbytes)
        return threads, granules, np.repeat(keys, count) if count > 1 else keys, count

    def check_same_step(
        self, access: MemoryAccess, part: AccessPart, view: Array, own: list[Array]
    ) -> None:
        """Report threads that store different values to the same bytes in one step."""
        for index, value in enumerate(own):
            is_lost = view[part.elements(index)] != value
            if is_lost.any():
                self.report_some(
                    access, part, is_lost, "race",
                    f"two threads write different values to the same bytes of {part.region.name}, "
                    "and nothing orders them",
                    other=access.instruction,
                )  # fmt: skip
                return

    def _report_race(
        self,
        access: MemoryAccess,
        part: AccessPart,
        conflict: Conflict,
        count: int,
        planned: PlannedStore | None,
        does: str,
    ) -> None:
        places, earlier = conflict.at // count, conflict.earlier
        if conflict.earlier_writes and planned is not None:  # writes of equal values do not race
            differs = planned.is_change()[places]
            places, earlier = places[differs], earlier[differs]
        if not len(places):
            return
        machine = self._machine
        bad = np.zeros(len(part.offsets), bool)
        bad[places] = True
        block, thread = machine.indices_of(thread_of(int(earlier[0])))
        did = "wrote" if conflict.earlier_writes else "read"
        self.report_some(
            access, part, bad, "race",
            f"{does} what thread {thread} of block {block} {did} in {part.region.name}, and "
            "nothing orders the two",
            other=machine.instruction_at(time_of(int(earlier[0]))),
        )  # fmt: skip

    def report_some(
        self,
        access: MemoryAccess,
        part: AccessPart,
        bad: Array,
        kind: str,
        message: str,
        *,
        shift: int = 0,
        other: Instruction | None = None,
    ) -> None:
        offset = int(part.offsets[np.argmax(bad)]) + shift
        self._machine.report(
            kind, access.instruction, part.ids[bad], message,
            buffer=part.region.name, offset=offset, address=part.region.base + offset, other=other,
        )  # fmt: skip

    def strong(
        self, access: MemoryAccess, part: AccessPart, shadow: Shadow, *, changes: bool
    ) -> None:
        """Note accesses that order nothing themselves, as those to the word of an mbarrier."""
        order = self._machine.order
        threads, granules, keys, count = self._keys(access, part, shadow)
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        find = shadow.write if changes else shadow.read
        for conflict in find(granules, keys, order.is_ordered, ordered):
            self._report_race(access, part, conflict, count, None, "uses as an mbarrier")

    def check_copies(
        self, access: MemoryAccess, part: AccessPart, copying: Array, does: str
    ) -> bool:
        """Report accesses to what asynchronous copies write for which nobody has waited, if any."""
        times = copying[part.words(access)].max(axis=1)
        bad = times > 0
        if bad.any():
            self.report_some(
                access, part, bad, "race",
                f"{does} what an asynchronous copy writes in {part.region.name}, and nothing has "
                "waited for that copy",
                other=self._machine.instruction_at(int(times.max())),
            )  # fmt: skip
        return bool(bad.any())

    def check_proxies(
        self, instruction: Instruction, part: AccessPart, shadow: Shadow, thread: int
    ) -> None:
        """Report usual writes that no ``fence.proxy.async`` separates from a bulk copy of them.

        The thread that wrote may execute it, or the one that copies.
        """
        machine = self._machine
        fenced = machine.order.proxies_fenced_at
        granules, _ = shadow.granules(part.first * 8, 8, 16)
        keys = np.unique(shadow.writes(granules))
        for key in keys[keys != 0].tolist():
            time, writer = time_of(key), thread_of(key)
            written_by = machine.instruction_at(time)
            last = max(int(fenced[writer]), int(fenced[thread + machine.first_thread]))
            if last > time or written_by.has("bulk"):
                continue
            block, index = machine.indices_of(writer)
            machine.report(
                "race", instruction, np.array([thread]),
                f"a bulk copy reads what thread {index} of block {block} wrote in "
                f"{part.region.name} without fence.proxy.async; execute "
                "fence.proxy.async.shared::cta after writing, before the barrier",
                buffer=part.region.name, other=written_by,
            )  # fmt: skip
            return
