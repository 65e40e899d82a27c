"""Loads and stores of many threads at once, with every access checked.

An access that is out of bounds or misaligned is reported and not made; such a load gives zero.
Bytes that nothing has written are reported when they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pluginkit.ptx.memory.addresses import Addresses
from pluginkit.ptx.memory.delayed_writes import Apply, DelayedWrites
from pluginkit.ptx.memory.early_accesses import EarlyAccesses
from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.memory.noted_accesses import NotedAccesses
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
        self._noted = NotedAccesses(machine)
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
        copying, is_early = region.copying, False
        if copying is not None:
            is_early = self._noted.check_copies(access, part, copying, "reads")
        if region.written is not None and not is_early:
            self._check_written(access, part)
        if region.earlier is not None:
            self._early.check_read(access, part)
        if region.shadow is not None:
            self._noted.read(access, part, region.shadow)
        view = region.view(access.dtype)
        return [view[part.elements(index)] for index in range(access.count)]

    def store(
        self, access: MemoryAccess, ids: Array, addresses: Array, values: list[Array]
    ) -> None:
        """Store for some threads; ``values`` has an array for each element of the vector."""
        self.last_parts = list(self.parts(access, ids, addresses, "written"))
        for part in self._writable(access, self.last_parts):
            planned = self.plan(access, part, values)
            self.note(access, planned)
            self.make(access, planned)

    def parts_to_store(
        self, access: MemoryAccess, ids: Array, addresses: Array
    ) -> Iterator[AccessPart]:
        """Yield the parts of a store that is made later; report and leave out invalid ones."""
        return self._writable(access, self.parts(access, ids, addresses, "written"))

    def _writable(self, access: MemoryAccess, parts: Iterable[AccessPart]) -> Iterator[AccessPart]:
        for part in parts:
            if part.region.role != "input":
                yield part
                continue
            self.report(access, part, "input_written", f"{part.region.name} is written, an input")

    def plan(self, access: MemoryAccess, part: AccessPart, values: list[Array]) -> PlannedStore:
        """Return a part of a store before it is made."""
        return PlannedStore(
            part, part.region.view(access.dtype), [part.of(value) for value in values]
        )

    def note(self, access: MemoryAccess, planned: PlannedStore) -> None:
        """Note that a store happens now, and report what it races with."""
        part, region = planned.part, planned.part.region
        self._machine.progress += 1
        if self._delayed:
            self._delayed.publish_touched(access, part)
        if region.earlier is not None:
            self._early.check_write(access, part)
        if region.shadow is not None:
            self._noted.write(access, part, region.shadow, planned)

    def begin_copy(self, access: MemoryAccess, planned: PlannedStore) -> None:
        """Note a store that an asynchronous copy makes later."""
        self.note(access, planned)
        region = planned.part.region
        if region.copying is None:
            region.copying = np.zeros(len(region.data) // 4, np.int64)
        region.copying[planned.part.words(access)] = self._machine.tick(access.instruction)

    def end_copy(self, access: MemoryAccess, planned: PlannedStore) -> None:
        """Make the store of an asynchronous copy."""
        copying = planned.part.region.copying
        if copying is not None:
            copying[planned.part.words(access)] = 0
        self.make(access, planned)

    def make(self, access: MemoryAccess, planned: PlannedStore) -> None:
        """Make a store that has been noted."""
        part, region, view = planned.part, planned.part.region, planned.view
        self._machine.progress += 1
        if region.copying is not None:
            self._noted.check_copies(access, part, region.copying, "writes")
        self._mark_written(access, part)
        if self.is_delayed(access, part):
            self.delay(access, part, DelayedStore(part, view, planned.values))
            return
        for index, value in enumerate(planned.values):
            view[part.elements(index)] = value
        if region.shadow is not None and not access.is_strong:
            self._noted.check_same_step(access, part, view, planned.values)

    def note_strong(self, access: MemoryAccess, part: AccessPart, *, changes: bool) -> None:
        """Note an access to an mbarrier, which races with plain ones that nothing orders."""
        if part.region.shadow is not None:
            self._noted.strong(access, part, part.region.shadow, changes=changes)

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
            granules, count = self._noted.write(access, part, shadow, None)
            if access.is_of_block and part.region.space == "global":
                self._noted.check_scope(access, part, granules[::count])
            threads = part.ids + self._machine.first_thread
            self._machine.order.acquire(
                threads, id(part.region), granules[::count], fences=access.fences
            )

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
                self._noted.report_some(
                    access, part, bad, "uninitialised",
                    f"bytes of {part.region.name} are read that nothing has written",
                    shift=index * size,
                )  # fmt: skip
                return

    def check_proxies(self, instruction: Instruction, thread: int) -> None:
        """Report what the last load, of a bulk copy, has read that no proxy fence follows."""
        for part in self.last_parts:
            if part.region.shadow is not None:
                self._noted.check_proxies(instruction, part, part.region.shadow, thread)
