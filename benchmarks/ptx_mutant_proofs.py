"""Prove that mutants without a finding change nothing, from the accesses of the original kernels.

A barrier is not needed in a case if no two threads access the same bytes on different sides of it
and between the barriers around it, one of them writing. An element of a buffer is not needed if no
thread of any launch accesses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from pluginkit.ptx.machine.launch_state import LaunchState
from pluginkit.ptx.memory.addresses import Addresses
from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.happens_before import HappensBefore
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess

#: The file number that marks a barrier by ``.loc`` in the PTX.
MARK = 99
#: The most bytes of recorded accesses.
_LARGEST = 60_000_000


class Sides:
    """The accesses on each side of one barrier, for each block or warp.

    Args:
        of_warps: whether it is a barrier of warps.
    """

    def __init__(self, *, of_warps: bool) -> None:
        self._of_warps = of_warps
        self._accesses: dict[int, list[tuple[Any, ...]]] = {}
        self._bytes = 0

    def begin(self, threads: int, block_threads: int) -> None:
        """Start a launch."""
        self._block_threads = block_threads
        self._warps = -(-block_threads // 32)
        self._segment = np.zeros(threads, np.int32)  # between other barriers
        self._side = np.zeros(threads, np.int32)  # between meetings at the marked one
        self._accesses.clear()
        self._is_met = self._has_flags = False

    def _scope(self, threads: Any) -> Any:
        block, inner = np.divmod(threads, self._block_threads)
        return block * self._warps + (inner >> 5) if self._of_warps else block

    def meet(self, threads: Any, *, is_marked: bool) -> None:
        """Note a barrier of all threads of a block or a warp."""
        if is_marked:
            self._is_met = True
            self._side[threads] += 1
        else:
            self._segment[threads] += 1

    def note(self, access: MemoryAccess, part: AccessPart, threads: Any, *, writes: bool) -> None:
        """Note accesses to memory."""
        if part.region.space == "global" and access.is_strong:
            self._has_flags = True
        self._bytes += len(threads) * access.nbytes
        if self._bytes > _LARGEST:
            raise TooLarge
        first = part.first * access.dtype.itemsize
        entry = (
            threads, first, access.nbytes, self._segment[threads], self._side[threads], writes
        )  # fmt: skip
        self._accesses.setdefault(id(part.region), []).append(entry)

    def may_need_it(self) -> bool:
        """Whether two threads of this launch need the barrier, judged by the bytes they access.

        This cannot judge threads that communicate through flags in global memory.
        """
        if not self._is_met:
            return False
        return self._has_flags or any(map(self._has_conflict, self._accesses.values()))

    def _has_conflict(self, listed: list[tuple[Any, ...]]) -> bool:
        columns: list[list[Any]] = [[], [], [], [], []]
        for threads, first, nbytes, segment, side, writes in listed:
            for byte in range(nbytes):
                for column, values in zip(
                    columns, (threads, first + byte, segment, side), strict=False
                ):
                    column.append(values)
                columns[4].append(np.full(len(threads), writes))
        threads, where, segment, side, writes = map(np.concatenate, columns)
        scope = self._scope(threads)
        order = np.lexsort((where, segment, scope))
        threads, where, segment, side, writes, scope = (
            each[order] for each in (threads, where, segment, side, writes, scope)
        )
        is_new = np.ones(len(where), bool)
        is_new[1:] = (where[1:] != where[:-1]) | (segment[1:] != segment[:-1])
        is_new[1:] |= scope[1:] != scope[:-1]
        starts = np.flatnonzero(is_new)
        several = np.minimum.reduceat(side, starts) != np.maximum.reduceat(side, starts)
        several &= np.minimum.reduceat(threads, starts) != np.maximum.reduceat(threads, starts)
        several &= np.logical_or.reduceat(writes, starts)
        stops = np.append(starts[1:], len(where))
        return any(
            _conflicts(threads[start:stop], side[start:stop], writes[start:stop])
            for start, stop in zip(starts[several], stops[several], strict=True)
        )


def _conflicts(threads: Any, side: Any, writes: Any) -> bool:
    """Whether a write and another thread's access to the same byte are on different sides."""
    for place in np.flatnonzero(writes):
        if ((threads != threads[place]) & (side != side[place])).any():
            return True
    return False


class TooLarge(Exception):  # noqa: N818 - it ends an attempt
    """A launch has too many accesses to compare."""


@contextmanager
def watching(sides: Sides, needed: list[bool]) -> Iterator[None]:
    """Record the accesses of every launch in the body; ``needed`` gets one answer for each."""
    tick, start = LaunchState.tick, HappensBefore.__init__
    barrier, warp_barrier = HappensBefore.barrier, HappensBefore.warp_barrier
    read, write = CheckedMemory._note_read, CheckedMemory._note_write
    last: list[Any] = [None]

    def new_tick(self: Any, instruction: Any) -> int:
        last[0] = instruction
        return tick(self, instruction)

    def is_marked() -> bool:
        location = last[0].location
        return location is not None and location.file == MARK

    def new_order(self: Any, threads: int, block_threads: int) -> None:
        if hasattr(sides, "_segment"):
            needed.append(sides.may_need_it())
        sides.begin(threads, block_threads)
        start(self, threads, block_threads)

    def new_barrier(self: Any, threads: Any, time: int, **options: Any) -> None:
        if options.get("waits", True) and not options.get("is_partial", False):
            sides.meet(threads, is_marked=is_marked())
        barrier(self, threads, time, **options)

    def new_warp_barrier(self: Any, threads: Any, masks: Any, time: int) -> None:
        whole = threads[masks == 0xFFFFFFFF]
        if sides._of_warps and (len(whole) or is_marked()):
            sides.meet(threads if is_marked() else whole, is_marked=is_marked())
        warp_barrier(self, threads, masks, time)

    def new_read(self: Any, access: MemoryAccess, part: AccessPart, shadow: Any) -> None:
        sides.note(access, part, part.ids + self._machine.first_thread, writes=False)
        read(self, access, part, shadow)

    def new_write(
        self: Any, access: MemoryAccess, part: AccessPart, shadow: Any, change: Any
    ) -> Any:
        sides.note(access, part, part.ids + self._machine.first_thread, writes=True)
        return write(self, access, part, shadow, change)

    with (
        patch.object(LaunchState, "tick", new_tick),
        patch.object(HappensBefore, "__init__", new_order),
        patch.object(HappensBefore, "barrier", new_barrier),
        patch.object(HappensBefore, "warp_barrier", new_warp_barrier),
        patch.object(CheckedMemory, "_note_read", new_read),
        patch.object(CheckedMemory, "_note_write", new_write),
    ):
        yield
        if hasattr(sides, "_segment"):
            needed.append(sides.may_need_it())


@contextmanager
def touched_ends(itemsizes: dict[str, int]) -> Iterator[set[str]]:
    """Yield the names of the buffers whose last element a kernel accesses in the body.

    Args:
        itemsizes: the size of that element in bytes, by the buffer's name.
    """
    touched: set[str] = set()
    with_elements = Addresses._with_elements

    def noted(self: Any, access: MemoryAccess, part: AccessPart) -> AccessPart:
        name = part.region.name
        if part.region.space == "global" and name in itemsizes and name not in touched:
            last = part.region.nbytes - itemsizes[name]
            if int(part.offsets.max()) + access.nbytes > last:
                touched.add(name)
        return with_elements(self, access, part)

    with patch.object(Addresses, "_with_elements", noted):
        yield touched


@contextmanager
def marks_met() -> Iterator[set[int]]:
    """Yield the lines of the marks whose instructions run in the body."""
    met: set[int] = set()
    tick = LaunchState.tick

    def noted(self: Any, instruction: Any) -> int:
        if instruction.location is not None and instruction.location.file == MARK:
            met.add(instruction.location.line)
        return tick(self, instruction)

    with patch.object(LaunchState, "tick", noted):
        yield met
