"""Loads and stores of many threads at once, with every access checked.

An access that is out of bounds or misaligned is reported and not made; such a load gives zero.
Bytes that nothing has written are reported when they are loaded.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.addresses import Addresses
from pluginkit.ptx.memory.delayed_writes import Apply, DelayedWrites
from pluginkit.ptx.memory.early_accesses import EarlyAccesses
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
from pluginkit.ptx.memory.stores import (
    DelayedStore,
    PlannedStore,
    all_written,
    used_bytes_of,
)
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array


class CheckedMemory:
    """All memory that the threads of one machine can access, with its checks.

    Args:
        machine: the machine.
        delayed: delays strong writes to global memory; None to make every write at once.

    Attributes:
        last_parts: the parts of the last load or store, by region.
    """

    def __init__(self, machine: MachineForMemory, delayed: DelayedWrites | None = None) -> None:
        self._machine = machine
        self._delayed = delayed
        self._addresses, self._early = Addresses(machine), EarlyAccesses(machine)
        self.last_parts: list[AccessPart] = []
        self.parts, self.report = self._addresses.parts, self._addresses.report

    def load(self, access: MemoryAccess, ids: Array, addresses: Array) -> list[Array]:
        """Load for some threads.

        Args:
            access: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.

        Returns:
            For each element of the vector an array over the threads.
        """
        parts = self.last_parts = list(self.parts(access, ids, addresses, "read"))
        if len(parts) == 1 and parts[0].places is None:
            return self._load(access, parts[0])
        results = [np.zeros(len(ids), access.dtype) for _ in range(access.count)]
        for part in parts:
            for result, loaded in zip(results, self._load(access, part), strict=True):
                result[... if part.places is None else part.places] = loaded
        return results

    def _load(self, access: MemoryAccess, part: AccessPart) -> list[Array]:
        region = part.region
        if self._delayed:
            self._delayed.publish_touched(access, part)
        if region.written is not None:
            self._check_written(access, part)
        if region.earlier is not None:
            self._early.check_read(access, part)
        if region.shadow is not None:
            self._note_read(access, part, region.shadow)
        view = region.view(access.dtype)
        return [view[part.elements(index)] for index in range(access.count)]

    def store(
        self, access: MemoryAccess, ids: Array, addresses: Array, values: list[Array]
    ) -> None:
        """Store for some threads; ``values`` has an array for each element of the vector."""
        self.last_parts = list(self.parts(access, ids, addresses, "written"))
        for part in self.last_parts:
            region = part.region
            if region.role == "input":
                self.report(access, part, "input_written", f"{region.name} is written, an input")
                continue
            self._machine.progress += 1
            if self._delayed:
                self._delayed.publish_touched(access, part)
            if region.earlier is not None:
                self._early.check_write(access, part)
            view, own = region.view(access.dtype), [part.of(value) for value in values]
            if region.shadow is not None:
                self._note_write(access, part, region.shadow, PlannedStore(part, view, own))
            self._mark_written(access, part)
            if self.is_delayed(access, part):
                self.delay(access, part, DelayedStore(part, view, own))
                continue
            for index, value in enumerate(own):
                view[part.elements(index)] = value
            if region.shadow is not None and not access.is_strong:
                self._check_same_step(access, part, view, own)

    def is_delayed(self, access: MemoryAccess, part: AccessPart) -> bool:
        """Whether a write is delayed. Its thread must not need a result, such as the old value."""
        return self._delayed is not None and access.is_strong and part.region.space == "global"

    def delay(self, access: MemoryAccess, part: AccessPart, apply: Apply) -> None:
        """Delay a write; ``apply`` makes it for the threads at some positions."""
        if self._delayed is not None:
            self._delayed.hold(access, part, self._machine.tick(access.instruction), apply)

    def begin_atomic(self, access: MemoryAccess, part: AccessPart) -> None:
        """Check an atomic update before it is made."""
        shadow = part.region.shadow
        if self._delayed:
            self._delayed.publish_touched(access, part)
        if part.region.written is not None:
            self._check_written(access, part)
        if part.region.earlier is not None:
            self._early.check_write(access, part)
        if shadow is not None:
            granules, count = self._note_write(access, part, shadow, None)
            if access.is_of_block and part.region.space == "global":
                self._check_scope(access, part, granules[::count])
            threads = part.ids + self._machine.first_thread
            self._machine.order.acquire(
                threads, id(part.region), granules[::count], fences=access.fences
            )

    def _check_scope(self, access: MemoryAccess, part: AccessPart, granules: Array) -> None:
        """Report atomics of one step on the same word by blocks outside each other's scope."""
        blocks = self._machine.block_of(part.ids)
        words, places = np.unique(granules, return_inverse=True)
        one = np.zeros(len(words), blocks.dtype)
        one[places] = blocks
        bad = one[places] != blocks
        if bad.any():
            self._report_some(
                access, part, bad, "race",
                f"atomics of the block's scope in {part.region.name} meet those of other blocks",
                other=access.instruction,
            )  # fmt: skip

    def end_atomic(self, access: MemoryAccess, part: AccessPart, *, is_changed: bool) -> None:
        """Note that an atomic update has been made."""
        self._machine.progress += is_changed
        self._mark_written(access, part)

    def _mark_written(self, access: MemoryAccess, part: AccessPart) -> None:
        written = part.region.written_view(access.dtype.itemsize)
        if written is not None:
            for index in range(access.count):
                written[part.elements(index)] = all_written(access.dtype.itemsize)

    def _check_written(self, access: MemoryAccess, part: AccessPart) -> None:
        """Report bytes that are read before anything wrote them.

        Where the access may take a whole aligned word, one written byte of it is enough.
        """
        size = access.dtype.itemsize
        written = part.region.written_view(size)
        if written is None:
            return
        for index in range(access.count):
            used = used_bytes_of(access.used_bytes, index, size)
            known = written[part.elements(index)]
            bad = known == 0 if access.may_pass_end else known & used != used
            if bad.any():
                self._report_some(
                    access, part, bad, "uninitialised",
                    f"bytes of {part.region.name} are read that nothing has written",
                    shift=index * size,
                )  # fmt: skip
                return

    def _note_read(self, access: MemoryAccess, part: AccessPart, shadow: Shadow) -> None:
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
        self._report_some(
            access, part, bad, "race",
            f"{part.region.name} is read through the read-only cache (__ldg, or a pointer that is "
            "const and __restrict__) after the launch has written it",
            other=self._machine.instruction_at(time_of(int(writes[places[0]]))),
        )  # fmt: skip

    def _note_write(
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

    def _check_same_step(
        self, access: MemoryAccess, part: AccessPart, view: Array, own: list[Array]
    ) -> None:
        """Report threads that store different values to the same bytes in one step."""
        for index, value in enumerate(own):
            is_lost = view[part.elements(index)] != value
            if is_lost.any():
                self._report_some(
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
        self._report_some(
            access, part, bad, "race",
            f"{does} what thread {thread} of block {block} {did} in {part.region.name}, and "
            "nothing orders the two",
            other=machine.instruction_at(time_of(int(earlier[0]))),
        )  # fmt: skip

    def _report_some(
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
