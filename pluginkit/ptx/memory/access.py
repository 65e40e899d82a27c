"""Loads and stores of many threads at once, each checked.

An access that is out of bounds or misaligned is reported and left out: a load gives zero. Bytes
that nothing has written are reported when they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.ptx.memory import GENERIC_BASE, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BITS, Region
from pluginkit.ptx.races import STRONG, TIME_SHIFT, Conflict
from pluginkit.ptx.types import S64, U64, UNSIGNED, Array

if TYPE_CHECKING:
    from pluginkit.ptx.machine import Machine
    from pluginkit.ptx.syntax import Instruction

_GLOBAL_BITS = U64.type(WINDOW_BITS["global"])


@dataclass(frozen=True)
class Site:
    """One instruction that accesses memory.

    Attributes:
        instruction: it.
        space: ``global``, ``shared``, ``local`` or ``generic``.
        dtype: the unsigned type of one element's bits.
        count: how many elements of a vector it moves.
        is_strong: whether it is atomic or volatile, or a load whose value a compare-and-swap
            checks, so that it races with no other such access.
        fences: whether it acquires or releases by itself.
        used_bytes: which bytes of a vector are used later, as a bit mask; None for all.
        may_pass_end: whether the aligned word that holds a buffer's last bytes may be accessed as
            a whole, as compare-and-swap on a byte or a half must.
    """

    instruction: Instruction
    space: str
    dtype: np.dtype[Any]
    count: int = 1
    is_strong: bool = False
    fences: bool = False
    used_bytes: int | None = None
    may_pass_end: bool = False

    @property
    def nbytes(self) -> int:
        """All bytes that one thread accesses."""
        return self.dtype.itemsize * self.count


@dataclass(frozen=True)
class Part:
    """The threads whose addresses lie in one region.

    Attributes:
        region: it.
        places: which of the group's threads; None for all.
        offsets: of their accesses from the region's start, int64.
        first: the element of the region's view that each access begins with.
    """

    region: Region
    places: Array | None
    offsets: Array
    first: Array

    def of(self, values: Array) -> Array:
        """The elements of these threads."""
        return values if self.places is None else values[self.places]


class Access:
    """Access to all memory that the threads of one machine see."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def load(self, site: Site, ids: Array, addresses: Array) -> list[Array]:
        """What threads load.

        Args:
            site: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.

        Returns:
            For each element of the vector an array over the threads.
        """
        parts = list(self.parts(site, ids, addresses, "read"))
        if len(parts) == 1 and parts[0].places is None:
            return self._load(site, ids, parts[0])
        results = [np.zeros(len(ids), site.dtype) for _ in range(site.count)]
        for part in parts:
            for result, loaded in zip(results, self._load(site, ids, part), strict=True):
                result[part.places] = loaded
        return results

    def _load(self, site: Site, ids: Array, part: Part) -> list[Array]:
        region = part.region
        if region.written is not None:
            self.check_written(site, ids, part)
        if region.shadow is not None:
            self._note(site, ids, part, reads=True)
        view = region.view(site.dtype)
        first = part.first
        return [view[first + element if element else first] for element in range(site.count)]

    def store(self, site: Site, ids: Array, addresses: Array, values: list[Array]) -> None:
        """Store what each thread holds: for each element of the vector an array."""
        for part in self.parts(site, ids, addresses, "written"):
            region = part.region
            own = [part.of(value) for value in values]
            if region.role == "input":
                self.report_part(site, ids, part, "input_written", "writes to an input")
                continue
            self._machine.progress += 1
            view = region.view(site.dtype)
            if region.shadow is not None:
                old = [view[part.first + element] for element in range(site.count)]
                changes = [was != new for was, new in zip(old, own, strict=True)]
                self._note(site, ids, part, reads=False, changes=np.logical_or.reduce(changes))
            for element, value in enumerate(own):
                view[part.first + element if element else part.first] = value
            if region.written is not None:
                self.mark_written(site, part)
            if region.shadow is not None and not site.is_strong:
                self._check_same_step(site, ids, part, view, own)

    def mark_written(self, site: Site, part: Part) -> None:
        """Note that something wrote these bytes."""
        size = site.dtype.itemsize
        written = part.region.written_view(size)
        if written is not None:
            for element in range(site.count):
                written[part.first + element] = _ones(size)

    def parts(self, site: Site, ids: Array, addresses: Array, verb: str) -> Iterator[Part]:
        """The regions that addresses lie in, without the accesses that have to be left out."""
        for region, places, offsets in self._regions(site, ids, addresses, verb):
            limit = region.nbytes - site.nbytes
            bad = _outside(offsets, limit)
            if bad is not None and site.may_pass_end:
                bad &= (offsets & 3 != 0) | (offsets >= region.nbytes) | (site.nbytes > 4)
                bad = bad if bad.any() else None
            if bad is not None:
                self._report_bounds(site, ids, region, places, offsets, bad, verb)
                places, offsets = _keep(places, offsets, ~bad)
            if site.nbytes > 1 and int(np.bitwise_or.reduce(offsets)) & (site.nbytes - 1):
                bad = offsets & (site.nbytes - 1) != 0
                self._report(
                    site, ids, region, places, offsets, bad, "misaligned",
                    f"{site.nbytes} bytes at an address that is no multiple of {site.nbytes} "
                    f"are {verb}",
                )  # fmt: skip
                places, offsets = _keep(places, offsets, ~bad)
            if len(offsets):
                first = offsets // site.dtype.itemsize
                if region.owned:
                    owners = ids if places is None else ids[places]
                    if region.space == "shared":
                        owners = self._machine.threads.block[owners]
                    first = first + owners * (region.stride // site.dtype.itemsize)
                yield Part(region, places, offsets, first)

    def _regions(
        self, site: Site, ids: Array, addresses: Array, verb: str
    ) -> Iterator[tuple[Region, Array | None, Array]]:
        """The region of each address, and the offset in it; what has none is reported."""
        space = site.space
        addresses = addresses.astype(U64)
        if space == "generic":
            yield from self._generic_regions(site, ids, addresses, verb)
            return
        bits = U64.type(WINDOW_BITS[space])
        regions = self._machine.regions(space)
        windows = addresses >> bits
        first = int(windows[0])
        if (windows == windows[0]).all():
            listed = [(first, None)]
        else:
            listed = [(int(w), np.flatnonzero(windows == w)) for w in np.unique(windows)]
        for window, places in listed:
            here = addresses if places is None else addresses[places]
            region = regions.get(window)
            if region is None:
                self._report_nowhere(site, ids, places, here, verb)
            else:
                yield region, places, (here - U64.type(region.base)).view(S64)

    def _generic_regions(
        self, site: Site, ids: Array, addresses: Array, verb: str
    ) -> Iterator[tuple[Region, Array | None, Array]]:
        windows = addresses >> _GLOBAL_BITS
        for window, space in ((SHARED_WINDOW, "shared"), (LOCAL_WINDOW, "local"), (0, "global")):
            if window:
                is_here = windows == window
            else:
                is_here = (windows != SHARED_WINDOW) & (windows != LOCAL_WINDOW)
            if not is_here.any():
                continue
            places = None if is_here.all() else np.flatnonzero(is_here)
            here = addresses if places is None else addresses[places]
            narrow = Site(site.instruction, space, site.dtype, site.count)
            base = U64.type(GENERIC_BASE.get(space, 0))
            own = ids if places is None else ids[places]
            for region, inner, offsets in self._regions(narrow, own, here - base, verb):
                if places is None:
                    yield region, inner, offsets
                else:
                    yield region, places if inner is None else places[inner], offsets

    def check_written(self, site: Site, ids: Array, part: Part, *, is_atomic: bool = False) -> None:
        """Report bytes that are read before anything wrote them.

        Of a word that an atomic updates, or that passes a buffer's end, one byte is enough.
        """
        size = site.dtype.itemsize
        written = part.region.written_view(size)
        if written is None:
            return
        whole = _ones(size)
        for element in range(site.count):
            used = _used(site.used_bytes, element, size)
            if used == 0:
                continue
            known = written[part.first + element if element else part.first]
            if is_atomic or site.may_pass_end:
                bad = known == 0
            else:
                bad = (known != whole) if used is None else (known & used != used)
            if bad.any():
                self._report(
                    site, ids, part.region, part.places, part.offsets + element * size, bad,
                    "uninitialised", "bytes that nothing has written are read",
                )  # fmt: skip
                return

    def _note(
        self, site: Site, ids: Array, part: Part, *, reads: bool, changes: Array | None = None
    ) -> None:
        """Note accesses for the search for races, and report the races."""
        shadow, order = part.region.shadow, self._machine.order
        if shadow is None:
            return
        threads = part.of(ids) + self._machine.first_thread
        keys = threads | np.int64(self._machine.tick(site.instruction) << TIME_SHIFT)
        if site.is_strong:
            keys = keys | STRONG
        offsets = part.first * site.dtype.itemsize
        shift = min(site.dtype.itemsize, 8).bit_length() - 1
        granules, count = shadow.granules(offsets, shift, site.nbytes)
        each = np.repeat(keys, count) if count > 1 else keys
        ordered = order.ordered_before(threads, of_block=part.region.space == "shared")
        if reads:
            if site.is_strong:
                order.hear(threads, id(part.region), granules[::count], fences=site.fences)
            conflicts = shadow.read(granules, each, order.is_ordered, ordered)
        else:
            conflicts = shadow.write(granules, each, order.is_ordered, ordered)
            if site.is_strong:
                order.tell(threads, id(part.region), granules[::count])
        for conflict in conflicts:
            self._report_race(site, ids, part, conflict, count, changes, reads=reads)

    def note_atomic(self, site: Site, ids: Array, part: Part) -> None:
        """Note an atomic access, which reads and writes."""
        shadow, order = part.region.shadow, self._machine.order
        if shadow is None:
            return
        self._note(site, ids, part, reads=False)
        threads = part.of(ids) + self._machine.first_thread
        granules, count = shadow.granules(
            part.first * site.dtype.itemsize,
            min(site.dtype.itemsize, 8).bit_length() - 1,
            site.nbytes,
        )
        order.hear(threads, id(part.region), granules[::count], fences=site.fences)

    def _check_same_step(
        self, site: Site, ids: Array, part: Part, view: Array, own: list[Array]
    ) -> None:
        """Two threads that store different values to one place at once race."""
        for element, value in enumerate(own):
            lost = view[part.first + element] != value
            if lost.any():
                self._report(
                    site, ids, part.region, part.places, part.offsets, lost, "race",
                    "another thread writes a different value to the same bytes at the same time",
                    other=site.instruction,
                )  # fmt: skip
                return

    def _report_race(
        self,
        site: Site,
        ids: Array,
        part: Part,
        conflict: Conflict,
        count: int,
        changes: Array | None,
        *,
        reads: bool,
    ) -> None:
        places = conflict.at // count
        earlier = conflict.earlier
        if conflict.earlier_writes and changes is not None:  # equal values do no harm
            differs = changes[places]
            places, earlier = places[differs], earlier[differs]
        if not len(places):
            return
        bad = np.zeros(len(part.offsets), bool)
        bad[places] = True
        machine = self._machine
        other = machine.instruction_at(int(earlier[0] >> TIME_SHIFT))
        thread = int(earlier[0] & np.int64(0x7FFFFFFF))
        did = "wrote" if conflict.earlier_writes else "read"
        does = "reads" if reads else "writes"
        block, index = machine.threads_of_launch(thread)
        self._report(
            site, ids, part.region, part.places, part.offsets, bad, "race",
            f"{does} what thread {index} of block {block} {did}, and nothing orders the two",
            other=other,
        )  # fmt: skip

    def _report_bounds(
        self,
        site: Site,
        ids: Array,
        region: Region,
        places: Array | None,
        offsets: Array,
        bad: Array,
        verb: str,
    ) -> None:
        offset = int(offsets[np.argmax(bad)])
        distance = (
            f"{-offset} before its start"
            if offset < 0
            else f"{offset + site.nbytes - region.nbytes} past its end"
        )
        self._report(
            site, ids, region, places, offsets, bad, "out_of_bounds",
            f"{site.nbytes} bytes of {region.name} are {verb}, {distance}; "
            f"it has {region.nbytes} bytes",
        )  # fmt: skip

    def _report_nowhere(
        self, site: Site, ids: Array, places: Array | None, addresses: Array, verb: str
    ) -> None:
        address = int(addresses[0])
        what = "a null pointer" if address < 4096 else "an address in no buffer"
        self._machine.report(
            "out_of_bounds",
            site.instruction,
            ids if places is None else ids[places],
            f"{site.nbytes} bytes at {what} are {verb}",
            address=address,
        )

    def report_part(self, site: Site, ids: Array, part: Part, kind: str, message: str) -> None:
        """Report all threads of a part."""
        self._report(
            site, ids, part.region, part.places, part.offsets,
            np.ones(len(part.offsets), bool), kind, message,
        )  # fmt: skip

    def _report(
        self,
        site: Site,
        ids: Array,
        region: Region,
        places: Array | None,
        offsets: Array,
        bad: Array,
        kind: str,
        message: str,
        other: Instruction | None = None,
    ) -> None:
        listed = np.flatnonzero(bad)
        threads = ids[listed] if places is None else ids[places[listed]]
        offset = int(offsets[listed[0]])
        self._machine.report(
            kind, site.instruction, threads, message,
            buffer=region.name, offset=offset, address=region.base + offset, other=other,
        )  # fmt: skip


def _outside(offsets: Array, limit: int) -> Array | None:
    """Which offsets are negative or above ``limit``; None for none."""
    if limit < 0:
        return np.ones(len(offsets), bool)
    if int(offsets.view(U64).max()) <= limit:
        return None
    return (offsets < 0) | (offsets > limit)


def _keep(places: Array | None, offsets: Array, good: Array) -> tuple[Array, Array]:
    listed = np.flatnonzero(good)
    return listed if places is None else places[listed], offsets[listed]


def _ones(size: int) -> Any:
    """The bytes of ``written`` where all of so many are written."""
    return UNSIGNED[size].type(int.from_bytes(b"\1" * size, "little"))


def _used(mask: int | None, element: int, size: int) -> Any:
    """Which bytes of ``written`` count for an element: None for all."""
    if mask is None:
        return None
    bits = mask >> (element * size) & ((1 << size) - 1)
    chosen = bytes(bits >> place & 1 for place in range(size))
    return UNSIGNED[size].type(int.from_bytes(chosen, "little"))
