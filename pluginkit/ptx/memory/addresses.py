"""Find the places of addresses in buffers; report those outside, and misaligned ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pluginkit.ptx.memory.regions import (
    GENERIC_BASE,
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WINDOW_BITS,
)
from pluginkit.ptx.memory.sites import Part, Site
from pluginkit.ptx.memory.watch import Watch
from pluginkit.ptx.types import S64, U64, Array

_GLOBAL_BITS = U64.type(WINDOW_BITS["global"])
_NULL_BYTES = 4096


class Addresses:
    """Finds the places of the addresses that threads of one machine use."""

    def __init__(self, machine: Watch) -> None:
        self._machine = machine

    def parts(self, site: Site, ids: Array, addresses: Array, verb: str) -> Iterator[Part]:
        """Yield the regions in which addresses lie, without invalid accesses.

        Args:
            site: the instruction.
            ids: the threads' numbers in the wave.
            addresses: one for each thread.
            verb: what is done there, for findings: ``"read"``.
        """
        for part in self._regions(site, ids, addresses.astype(U64), verb):
            inside = self._without_outside(site, part, verb)
            aligned = self._without_misaligned(site, inside, verb)
            if len(aligned.offsets):
                yield self._with_elements(site, aligned)

    def _regions(self, site: Site, ids: Array, addresses: Array, verb: str) -> Iterator[Part]:
        if site.space == "generic":
            yield from self._in_generic_space(site, ids, addresses, verb)
            return
        regions = self._machine.regions(site.space)
        for window, places in _distinct(addresses, WINDOW_BITS[site.space]):
            here = addresses if places is None else addresses[places]
            own = ids if places is None else ids[places]
            region = regions.get(window)
            if region is None:
                self._report_nowhere(site, own, int(here[0]), verb)
                continue
            offsets = (here - U64.type(region.base)).view(S64)
            yield Part(region, own, places, offsets, offsets)

    def _in_generic_space(
        self, site: Site, ids: Array, addresses: Array, verb: str
    ) -> Iterator[Part]:
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
            for part in self._regions(replace(site, space=space), own, here, verb):
                if places is not None:
                    inner = places if part.places is None else places[part.places]
                    part = replace(part, places=inner)
                yield part

    def _without_outside(self, site: Site, part: Part, verb: str) -> Part:
        region, offsets = part.region, part.offsets
        limit = region.nbytes - site.nbytes
        if limit >= 0 and int(offsets.view(U64).max()) <= limit:
            return part
        bad = (offsets < 0) | (offsets > limit)
        if site.may_pass_end and site.nbytes <= 4:
            bad &= (offsets & 3 != 0) | (offsets < 0) | (offsets >= region.nbytes)
        if not bad.any():
            return part
        offset = int(offsets[np.argmax(bad)])
        past = offset + site.nbytes - region.nbytes
        distance = f"{-offset} bytes before its start" if offset < 0 else f"{past} past its end"
        self.report(
            site, _some(part, bad), "out_of_bounds",
            f"{site.nbytes} bytes of {region.name} are {verb}, {distance}; "
            f"it has {region.nbytes} bytes",
        )  # fmt: skip
        return _some(part, ~bad)

    def _without_misaligned(self, site: Site, part: Part, verb: str) -> Part:
        last = site.nbytes - 1
        if not last or not len(part.offsets) or not int(np.bitwise_or.reduce(part.offsets)) & last:
            return part
        bad = part.offsets & last != 0
        self.report(
            site, _some(part, bad), "misaligned",
            f"{site.nbytes} bytes of {part.region.name} are {verb} at an address that is no "
            f"multiple of {site.nbytes}",
        )  # fmt: skip
        return _some(part, ~bad)

    def _with_elements(self, site: Site, part: Part) -> Part:
        region, size = part.region, site.dtype.itemsize
        first = part.offsets >> (size.bit_length() - 1)
        if region.space != "global":
            is_shared = region.space == "shared"
            owners = self._machine.block_of(part.ids) if is_shared else part.ids
            first = first + owners * (region.stride // size)
        return Part(region, part.ids, part.places, part.offsets, first)

    def _report_nowhere(self, site: Site, ids: Array, address: int, verb: str) -> None:
        what = "a null pointer" if address < _NULL_BYTES else "an address in no buffer"
        self._machine.report(
            "out_of_bounds", site.instruction, ids, f"{site.nbytes} bytes at {what} are {verb}",
            address=address,
        )  # fmt: skip

    def report(self, site: Site, part: Part, kind: str, message: str) -> None:
        """Report all threads of a part."""
        offset = int(part.offsets[0])
        self._machine.report(
            kind, site.instruction, part.ids, message,
            buffer=part.region.name, offset=offset, address=part.region.base + offset,
        )  # fmt: skip


def _distinct(addresses: Array, bits: int) -> Iterator[tuple[int, Array | None]]:
    """Yield each window and the threads whose addresses are in it; None for all."""
    first = int(addresses.min()) >> bits
    if int(addresses.max()) >> bits == first:
        yield first, None
        return
    windows = addresses >> U64.type(bits)
    for window in np.unique(windows):
        yield int(window), np.flatnonzero(windows == window)


def _some(part: Part, chosen: Array) -> Part:
    """The threads of a part that are chosen."""
    listed = np.flatnonzero(chosen)
    return Part(
        part.region,
        part.ids[listed],
        listed if part.places is None else part.places[listed],
        part.offsets[listed],
        part.first[listed],
    )
