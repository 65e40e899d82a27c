"""mbarriers: counters in shared memory at which threads, and asynchronous copies, arrive.

A phase of an mbarrier completes once all expected arrivals have come, and all bytes have been
copied that were announced. What the arriving threads did before happens before what a thread does
that has waited for the phase. The word in shared memory holds the state, so that a store over it is
noticed; who has arrived is noted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.happens_before import Meeting
from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.mbarrier_state import Landing, Mbarrier
from pluginkit.ptx.memory.mbarrier_waits import MbarrierWaits
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U64, Array

MOST_ARRIVALS = (1 << 20) - 1
_PHASE_SHIFT = 32
_UNKNOWN = "mbarrier.init has not run, or mbarrier.inval has"


class Mbarriers:
    """The mbarriers of a wave.

    Args:
        machine: the machine.
        memory: its memory.
        threads: how many threads the wave has.
        wake: called when a phase has completed.

    Attributes:
        waits: the waits that have failed.
    """

    def __init__(
        self,
        machine: MachineForMemory,
        memory: CheckedMemory,
        threads: int,
        wake: Callable[[], None],
    ) -> None:
        self._machine, self._memory, self._wake = machine, memory, wake
        self._there: dict[tuple[int, int], Mbarrier] = {}
        self.waits = MbarrierWaits(machine, threads)

    def init(self, access: MemoryAccess, ids: Array, addresses: Array, counts: Array) -> None:
        """Initialise mbarriers."""
        clocks = self._machine.order.clocks
        for part in self._parts(access, ids, addresses):
            known = {element: self._found(part, element) for element in part.first.tolist()}
            words = self._memory.plan(access, part, [np.zeros(len(part.ids), U64)])
            self._memory.note(access, words)
            self._memory.make(access, words)
            for element, count, thread in zip(
                part.first.tolist(), part.of(counts).tolist(), part.ids, strict=True
            ):
                here = np.array([thread])
                if not 1 <= count <= MOST_ARRIVALS:
                    self._report(
                        access, here, f"an mbarrier is initialised for {count} arrivals; expected "
                        f"1 to {MOST_ARRIVALS}",
                    )  # fmt: skip
                    count = 1
                if (old := known[element]) is not None:
                    self._report(
                        access, here, f"{old.name} is initialised again while it is in "
                        "use; execute mbarrier.inval before",
                    )  # fmt: skip
                if clocks is not None:
                    made = Mbarrier(part.region, element, count, Meeting(clocks.new_row()))
                    self._there[id(part.region), element] = made
                    self._save(made)

    def invalidate(self, access: MemoryAccess, ids: Array, addresses: Array) -> None:
        """Make the memory of mbarriers usable for something else."""
        for found, _, _ in self._each(access, ids, addresses, changes=True):
            self._there.pop((id(found.region), found.element), None)
            found.region.view(U64)[found.element] = 0

    def arrive(
        self,
        access: MemoryAccess,
        ids: Array,
        addresses: Array,
        counts: Array,
        nbytes: Array | None = None,
        *,
        drops: bool = False,
        must_not_complete: bool = False,
        orders: bool = True,
    ) -> Array:
        """Let threads arrive, after announcing bytes; return the state that each found.

        Args:
            access: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.
            counts: how often each arrives.
            nbytes: the bytes that each announces, if any.
            drops: whether later phases expect that much less.
            must_not_complete: whether it may not complete the phase.
            orders: whether it releases what the threads have done.
        """
        tokens, machine = np.zeros(len(ids), U64), self._machine
        for found, places, own in self._each(access, ids, addresses, changes=True):
            if nbytes is not None:
                found.copying += int(nbytes[places].sum())
            if orders:
                time = machine.tick(access.instruction)
                machine.order.arrive(own + machine.first_thread, time, found.meeting)
            here = counts[places].astype(np.int64)
            if drops:
                found.expected -= min(int(here.sum()), found.expected)
            if must_not_complete and int(here.sum()) >= found.pending:
                self._report(
                    access,
                    own,
                    f"an arrival with noComplete completes a phase of {found.name}",
                )
            tokens[places] = self._take(found, access.instruction, own, here)
        return tokens

    def announce(self, access: MemoryAccess, ids: Array, addresses: Array, nbytes: Array) -> None:
        """Announce bytes (``expect_tx``), or note that they have been copied: negative ones."""
        for found, places, _ in self._each(access, ids, addresses, changes=True):
            found.copying += int(nbytes[places].sum())
            self._complete(found)

    def track(
        self, access: MemoryAccess, ids: Array, addresses: Array, land: Callable[[Array], None],
        *, increments: bool,
    ) -> None:  # fmt: skip
        """Let threads arrive once the copies have ended that they have begun.

        Args:
            access: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.
            land: ends the copies of some threads.
            increments: whether the phase expects these arrivals in addition.
        """
        machine, clocks = self._machine, self._machine.order.clocks
        for found, _, own in self._each(access, ids, addresses, changes=True):
            if increments:
                found.pending += len(own)
                self._save(found)
            meeting = Meeting(clocks.new_row() if clocks is not None else found.meeting.row)
            time = machine.tick(access.instruction)
            machine.order.arrive(own + machine.first_thread, time, meeting)

            def arrive(
                found: Mbarrier = found, own: Array = own, meeting: Meeting = meeting
            ) -> None:
                np.maximum(found.meeting.row, meeting.row, out=found.meeting.row)
                self._take(found, access.instruction, own, np.ones(len(own), np.int64))

            found.landings.append(Landing(land, own, arrive))

    def track_bytes(
        self, access: MemoryAccess, thread: int, address: int, nbytes: int,
        land: Callable[[], None],
    ) -> None:  # fmt: skip
        """Note the bytes of a bulk copy as copied once it has ended."""
        ids = np.array([thread])
        for found, _, _ in self._each(access, ids, np.array([address], U64), changes=True):
            time = self._machine.tick(access.instruction)

            def arrive(found: Mbarrier = found, time: int = time) -> None:
                place = thread % len(found.meeting.row)
                found.meeting.row[place] = max(int(found.meeting.row[place]), time)
                found.copying -= nbytes
                self._complete(found)

            found.landings.append(Landing(lambda _: land(), ids, arrive))

    def wait(
        self, access: MemoryAccess, ids: Array, addresses: Array, asked: Array,
        *, is_parity: bool, orders: bool,
    ) -> Array:  # fmt: skip
        """Return for each thread whether the phase is complete that it asks for.

        Args:
            access: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.
            asked: the parity of the phase, or the state that an arrival in it found.
            is_parity: which of the two.
            orders: whether it acquires what those have released that arrived.
        """
        done, machine = np.ones(len(ids), bool), self._machine
        asked_of = list(self._each(access, ids, addresses, changes=False))
        self._land([found for found, _, _ in asked_of])
        for found, places, own in asked_of:
            if is_parity:
                passed = (asked[places] & 1) != found.phase & 1
            else:
                phases = (asked[places] >> U64.type(_PHASE_SHIFT)).astype(np.int64)
                passed = phases < found.phase
                self.waits.check_age(found, access.instruction, own, phases)
            done[places] = passed
            if passed.any() and orders:
                time = machine.tick(access.instruction)
                machine.order.wait(own[passed] + machine.first_thread, time, found.completed)
            if not passed.all():
                self.waits.note(found, access.instruction, own[~passed])
        return done

    def _land(self, asked_of: list[Mbarrier]) -> None:
        """End the copies that mbarriers track: those of one instruction together."""
        landings = [each for found in asked_of for each in found.landings]
        together: dict[int, list[Landing]] = {}
        for each in landings:
            together.setdefault(id(each.land), []).append(each)
        for listed in together.values():
            listed[0].land(np.concatenate([each.ids for each in listed]))
        for found in asked_of:
            found.landings = []
        for each in landings:
            each.arrive()

    def _take(self, found: Mbarrier, instruction: Instruction, ids: Array, counts: Array) -> Array:
        """Count arrivals; return the state before each."""
        total = int(counts.sum())
        if total <= found.pending:
            left = found.pending - (np.cumsum(counts) - counts)
            tokens: Array = left.astype(U64) | U64.type(found.phase << _PHASE_SHIFT)
            found.pending -= total
            found.arrived.append((ids, instruction))
            self._complete(found)
            return tokens
        self._machine.report(
            "barrier", instruction, ids,
            f"{total} arrivals come together at {found.name}, of which its phase lacks "
            f"{found.pending}: it expects {found.expected} (mbarrier.init)",
        )  # fmt: skip
        each = []
        for thread, count in zip(ids, counts.tolist(), strict=True):
            each.append(found.phase << _PHASE_SHIFT | found.pending)
            found.pending -= min(count, found.pending)
            found.arrived.append((np.array([thread]), instruction))
            self._complete(found)
        return np.array(each, U64)

    def _complete(self, found: Mbarrier) -> None:
        """Begin the next phase if nothing is missing in this one."""
        if not found.pending and not found.copying:
            found.phase += 1
            found.pending, found.completed = found.expected, found.meeting.copy()
            found.arrived = []
            self._machine.progress += 1
            self._wake()
        self._save(found)

    def _save(self, found: Mbarrier) -> None:
        found.region.view(U64)[found.element] = found.word

    def _parts(self, access: MemoryAccess, ids: Array, addresses: Array) -> Iterator[AccessPart]:
        for part in self._memory.parts(access, ids, addresses, "used as an mbarrier"):
            if part.region.space == "shared":
                yield part
                continue
            self._report(access, part.ids, f"an mbarrier lies in {part.region.name}, which is not "
                         "shared memory")  # fmt: skip

    def _found(self, part: AccessPart, element: int) -> Mbarrier | None:
        found = self._there.get((id(part.region), element))
        is_there = found is not None and int(part.region.view(U64)[element]) == found.word
        return found if is_there else None

    def _each(
        self, access: MemoryAccess, ids: Array, addresses: Array, *, changes: bool
    ) -> Iterator[tuple[Mbarrier, Array, Array]]:
        """Yield each mbarrier, the positions of its threads among all, and their numbers."""
        everywhere = np.arange(len(ids))
        for part in self._parts(access, ids, addresses):
            self._memory.note_strong(access, part, changes=changes)
            order = np.argsort(part.first, kind="stable")
            starts = np.flatnonzero(np.diff(part.first[order], prepend=-1))
            for chosen in np.split(order, starts[1:]):
                element = int(part.first[chosen[0]])
                found = self._found(part, element)
                if found is not None:
                    yield found, part.of(everywhere)[chosen], part.ids[chosen]
                    continue
                is_lost = (id(part.region), element) in self._there
                what = "something has overwritten it" if is_lost else _UNKNOWN
                self._memory.report(
                    access, part.some(np.isin(part.first, element)), "barrier",
                    f"{part.region.name} is used as an mbarrier, but holds none: {what}",
                )  # fmt: skip

    def _report(self, access: MemoryAccess, ids: Array, message: str) -> None:
        self._machine.report("barrier", access.instruction, ids, message)
