"""Load and store for many threads at once, with every access checked.

An access that is out of bounds or misaligned is reported and left out: a load gives zero. Bytes
that nothing has written are reported when they are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.ptx.memory.addresses import Addresses
from pluginkit.ptx.memory.delayed_writes import Apply, DelayedWrites
from pluginkit.ptx.memory.races import STRONG, TIME_SHIFT, Conflict, Shadow, thread_of, time_of
from pluginkit.ptx.memory.sites import Part, Site
from pluginkit.ptx.memory.watch import Watch
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import UNSIGNED, Array


class Access:
    """Access to all memory that the threads of one machine see.

    Args:
        machine: the machine.
        delayed: keeps strong writes to global memory back; None where they happen at once.
    """

    def __init__(self, machine: Watch, delayed: DelayedWrites | None = None) -> None:
        self._machine = machine
        self._delayed = delayed
        self._addresses = Addresses(machine)
        self.parts, self.report = self._addresses.parts, self._addresses.report

    def load(self, site: Site, ids: Array, addresses: Array) -> list[Array]:
        """Return what threads load.

        Args:
            site: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.

        Returns:
            For each element of the vector an array over the threads.
        """
        parts = list(self.parts(site, ids, addresses, "read"))
        if len(parts) == 1 and parts[0].places is None:
            return self._load(site, parts[0])
        results = [np.zeros(len(ids), site.dtype) for _ in range(site.count)]
        for part in parts:
            for result, loaded in zip(results, self._load(site, part), strict=True):
                result[... if part.places is None else part.places] = loaded
        return results

    def _load(self, site: Site, part: Part) -> list[Array]:
        region = part.region
        if self._delayed:
            self._delayed.publish_touched(site, part)
        if region.written is not None:
            self._check_written(site, part)
        if region.shadow is not None:
            self._note_read(site, part, region.shadow)
        view = region.view(site.dtype)
        return [view[part.elements(index)] for index in range(site.count)]

    def store(self, site: Site, ids: Array, addresses: Array, values: list[Array]) -> None:
        """Store what each thread holds: for each element of the vector an array."""
        for part in self.parts(site, ids, addresses, "written"):
            region = part.region
            if region.role == "input":
                self.report(site, part, "input_written", f"{region.name} is written, an input")
                continue
            self._machine.progress += 1
            if self._delayed:
                self._delayed.publish_touched(site, part)
            view, own = region.view(site.dtype), [part.of(value) for value in values]
            if region.shadow is not None:
                self._note_write(site, part, region.shadow, _Change(part, view, own))
            self._mark_written(site, part)
            if self.is_delayed(site, part):
                self.delay(site, part, _Writes(part, view, own))
                continue
            for index, value in enumerate(own):
                view[part.elements(index)] = value
            if region.shadow is not None and not site.is_strong:
                self._check_same_step(site, part, view, own)

    def is_delayed(self, site: Site, part: Part) -> bool:
        """Whether a write, whose thread learns nothing from it, is kept back."""
        return self._delayed is not None and site.is_strong and part.region.space == "global"

    def delay(self, site: Site, part: Part, apply: Apply) -> None:
        """Keep a write back; ``apply`` makes it happen for the threads at some places."""
        if self._delayed is not None:
            self._delayed.hold(site, part, self._machine.tick(site.instruction), apply)

    def begin_atomic(self, site: Site, part: Part) -> None:
        """Check an atomic update that is about to happen."""
        shadow = part.region.shadow
        if self._delayed:
            self._delayed.publish_touched(site, part)
        if part.region.written is not None:
            self._check_written(site, part)
        if shadow is not None:
            granules, count = self._note_write(site, part, shadow, None)
            threads = part.ids + self._machine.first_thread
            self._machine.order.hear(
                threads, id(part.region), granules[::count], fences=site.fences
            )

    def end_atomic(self, site: Site, part: Part, *, is_changed: bool) -> None:
        """Note an atomic update that has happened."""
        self._machine.progress += is_changed
        self._mark_written(site, part)

    def _mark_written(self, site: Site, part: Part) -> None:
        written = part.region.written_view(site.dtype.itemsize)
        if written is not None:
            for index in range(site.count):
                written[part.elements(index)] = _ones(site.dtype.itemsize)

    def _check_written(self, site: Site, part: Part) -> None:
        """Report bytes that are read before anything wrote them.

        Of a word that an atomic updates, or that passes a buffer's end, one byte is enough.
        """
        size = site.dtype.itemsize
        written = part.region.written_view(size)
        if written is None:
            return
        for index in range(site.count):
            used = _used(site.used_bytes, index, size)
            known = written[part.elements(index)]
            bad = known == 0 if site.may_pass_end else known & used != used
            if bad.any():
                self._report_some(
                    site, part, bad, "uninitialised",
                    f"bytes of {part.region.name} are read that nothing has written",
                    shift=index * size,
                )  # fmt: skip
                return

    def _note_read(self, site: Site, part: Part, shadow: Shadow) -> None:
        order = self._machine.order
        threads, granules, keys, count = self._keys(site, part, shadow)
        if site.is_strong:
            order.hear(threads, id(part.region), granules[::count], fences=site.fences)
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        for conflict in shadow.read(granules, keys, order.is_ordered, ordered):
            self._report_race(site, part, conflict, count, None, "reads")

    def _note_write(
        self, site: Site, part: Part, shadow: Shadow, change: _Change | None
    ) -> tuple[Array, int]:
        order = self._machine.order
        threads, granules, keys, count = self._keys(site, part, shadow)
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        conflicts = shadow.write(granules, keys, order.is_ordered, ordered)
        if site.is_strong:
            order.tell(threads, id(part.region), granules[::count])
        for conflict in conflicts:
            self._report_race(site, part, conflict, count, change, "writes")
        return granules, count

    def _keys(self, site: Site, part: Part, shadow: Shadow) -> tuple[Array, Array, Array, int]:
        """The threads, the granules that they access, a key for each, and how many each has."""
        first = self._machine.first_thread
        threads = part.ids + first if first else part.ids
        keys = threads | np.int64(self._machine.tick(site.instruction) << TIME_SHIFT)
        if site.is_strong:
            keys = keys | STRONG
        size = site.dtype.itemsize
        granules, count = shadow.granules(part.first * size, min(size, 8), site.nbytes)
        return threads, granules, np.repeat(keys, count) if count > 1 else keys, count

    def _check_same_step(self, site: Site, part: Part, view: Array, own: list[Array]) -> None:
        """Report threads that store different values to one place in the same step."""
        for index, value in enumerate(own):
            is_lost = view[part.elements(index)] != value
            if is_lost.any():
                self._report_some(
                    site, part, is_lost, "race",
                    f"two threads write different values to the same bytes of {part.region.name}, "
                    "and nothing orders them",
                    other=site.instruction,
                )  # fmt: skip
                return

    def _report_race(
        self,
        site: Site,
        part: Part,
        conflict: Conflict,
        count: int,
        change: _Change | None,
        does: str,
    ) -> None:
        places, earlier = conflict.at // count, conflict.earlier
        if conflict.earlier_writes and change is not None:  # equal values do no harm
            differs = change.is_one()[places]
            places, earlier = places[differs], earlier[differs]
        if not len(places):
            return
        machine = self._machine
        bad = np.zeros(len(part.offsets), bool)
        bad[places] = True
        block, thread = machine.place_of(thread_of(int(earlier[0])))
        did = "wrote" if conflict.earlier_writes else "read"
        self._report_some(
            site, part, bad, "race",
            f"{does} what thread {thread} of block {block} {did} in {part.region.name}, and "
            "nothing orders the two",
            other=machine.instruction_at(time_of(int(earlier[0]))),
        )  # fmt: skip

    def _report_some(
        self,
        site: Site,
        part: Part,
        bad: Array,
        kind: str,
        message: str,
        *,
        shift: int = 0,
        other: Instruction | None = None,
    ) -> None:
        offset = int(part.offsets[np.argmax(bad)]) + shift
        self._machine.report(
            kind, site.instruction, part.ids[bad], message,
            buffer=part.region.name, offset=offset, address=part.region.base + offset, other=other,
        )  # fmt: skip


@dataclass(frozen=True)
class _Change:
    """A store that is about to happen: where, in which memory, of which values."""

    part: Part
    view: Array
    values: list[Array]

    def is_one(self) -> Array:
        """For each thread whether it changes anything."""
        found = [
            self.view[self.part.elements(index)] != value for index, value in enumerate(self.values)
        ]
        changed: Array = np.logical_or.reduce(found)
        return changed


@dataclass(frozen=True)
class _Writes:
    """A store that happens later, of some threads at a time."""

    part: Part
    view: Array
    values: list[Array]

    def __call__(self, places: Array) -> None:
        for index, value in enumerate(self.values):
            self.view[self.part.elements(index)[places]] = value[places]


def _ones(size: int) -> Any:
    """The bytes of ``written`` where all of so many are written."""
    return UNSIGNED[size].type(int.from_bytes(b"\1" * size, "little"))


def _used(mask: int | None, index: int, size: int) -> Any:
    """Which bytes of ``written`` count for one element of a vector."""
    if mask is None:
        return _ones(size)
    bits = mask >> (index * size) & ((1 << size) - 1)
    chosen = bytes(bits >> place & 1 for place in range(size))
    return UNSIGNED[size].type(int.from_bytes(chosen, "little"))
