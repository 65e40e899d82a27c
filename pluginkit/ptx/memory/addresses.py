"""Find the buffers that addresses lie in; report those outside of any, and misaligned ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.memory.regions import (
    GENERIC_BASE,
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WINDOW_BITS,
)
from pluginkit.ptx.types import S64, U64, Array

_GLOBAL_BITS = U64.type(WINDOW_BITS["global"])
_NULL_BYTES = 4096


class Addresses:
    """Resolves the addresses that the threads of one machine use."""

    def __init__(self, machine: MachineForMemory) -> None:
        self._machine = machine

    def parts(
        self, access: MemoryAccess, ids: Array, addresses: Array, verb: str
    ) -> Iterator[AccessPart]:
        """Yield the parts of an access by region; report and leave out invalid accesses.

        Args:
            access: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.
            verb: what the access does, for findings: ``"read"``.
        """
        for part in self._regions(access, ids, addresses.astype(U64), verb):
            inside = self._without_outside(access, part, verb)
            aligned = self._without_misaligned(access, inside, verb)
            if len(aligned.offsets):
                yield self._with_elements(access, aligned)

    def _regions(
        self, access: MemoryAccess, ids: Array, addresses: Array, verb: str
    ) -> Iterator[AccessPart]:
        if access.space == "generic":
            yield from self._in_generic_space(access, ids, addresses, verb)
            return
        regions = self._machine.regions(access.space)
        for window, places in _distinct(addresses, WINDOW_BITS[access.space]):
            here = addresses if places is None else addresses[places]
            own = ids if places is None else ids[places]
            region = regions.get(window)
            if region is None:
                self._report_nowhere(access, own, int(here[0]), verb)
                continue
            offsets = (here - U64.type(region.base)).view(S64)
            yield AccessPart(region, own, places, offsets, offsets)

    def _in_generic_space(
        self, access: MemoryAccess, ids: Array, addresses: Array, verb: str
    ) -> Iterator[AccessPart]:
        windows = addresses >> _GLOBAL_BITS
        is_shared, is_local = windows == SHARED_WINDOW, windows == LOCAL_WINDOW
        for space, is_here in (
            ("global", ~(is_shared | is_local)), ("shared", is_shared), ("local", is_local),
        ):  # fmt: skip
            if not is_here.any():
                continue
            places = None if is_here.all() else np.flatnonzero(is_here)
            here = (addresses if places is None else addresses[places]) - U64.type(
                GENERIC_BASE.get(space, 0)
            )
            own = ids if places is None else ids[places]
            for part in self._regions(replace(access, space=space), own, here, verb):
                if places is not None:
                    inner = places if part.places is None else places[part.places]
                    part = replace(part, places=inner)
                yield part

    def _without_outside(self, access: MemoryAccess, part: AccessPart, verb: str) -> AccessPart:
        region, offsets = part.region, part.offsets
        limit = region.nbytes - access.nbytes
        if limit >= 0 and int(offsets.view(U64).max()) <= limit:
            return part
        bad = (offsets < 0) | (offsets > limit)
        if access.may_pass_end and access.nbytes <= 4:
            bad &= (offsets & 3 != 0) | (offsets < 0) | (offsets >= region.nbytes)
        if not bad.any():
            return part
        offset = int(offsets[np.argmax(bad)])
        past = offset + access.nbytes - region.nbytes
        distance = f"{-offset} bytes before its start" if offset < 0 else f"{past} past its end"
        self.report(
            access, part.some(bad), "out_of_bounds",
            f"{access.nbytes} bytes of {region.name} are {verb}, {distance}; "
            f"it has {region.nbytes} bytes",
        )  # fmt: skip
        return part.some(~bad)

    def _without_misaligned(self, access: MemoryAccess, part: AccessPart, verb: str) -> AccessPart:
        needed = access.alignment if access.alignment > 1 else access.nbytes
        last = needed - 1
        if not last or not len(part.offsets) or not int(np.bitwise_or.reduce(part.offsets)) & last:
            return part
        bad = part.offsets & last != 0
        self.report(
            access, part.some(bad), "misaligned",
            f"{access.nbytes} bytes of {part.region.name} are {verb} at an address that is no "
            f"multiple of {needed}",
        )  # fmt: skip
        return part.some(~bad)

    def _with_elements(self, access: MemoryAccess, part: AccessPart) -> AccessPart:
        region, size = part.region, access.dtype.itemsize
        first = part.offsets >> (size.bit_length() - 1)
        if region.space != "global":
            is_shared = region.space == "shared"
            owners = self._machine.block_of(part.ids) if is_shared else part.ids
            first = first + owners * (region.stride // size)
        return AccessPart(region, part.ids, part.places, part.offsets, first)

    def _report_nowhere(self, access: MemoryAccess, ids: Array, address: int, verb: str) -> None:
        what = "a null pointer" if address < _NULL_BYTES else "an address in no buffer"
        self._machine.report(
            "out_of_bounds", access.instruction, ids, f"{access.nbytes} bytes at {what} are {verb}",
            address=address,
        )  # fmt: skip

    def report(self, access: MemoryAccess, part: AccessPart, kind: str, message: str) -> None:
        """Report a finding for all threads of a part."""
        offset = int(part.offsets[0])
        self._machine.report(
            kind, access.instruction, part.ids, message,
            buffer=part.region.name, offset=offset, address=part.region.base + offset,
        )  # fmt: skip


def _distinct(addresses: Array, bits: int) -> Iterator[tuple[int, Array | None]]:
    """Yield each window, and the threads whose addresses are in it; None if it has them all."""
    first = int(addresses.min()) >> bits
    if int(addresses.max()) >> bits == first:
        yield first, None
        return
    windows = addresses >> U64.type(bits)
    for window in np.unique(windows):
        yield int(window), np.flatnonzero(windows == window)
