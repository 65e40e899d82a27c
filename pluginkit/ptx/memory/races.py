"""Shadow memory: who last read and wrote each granule, and which accesses race.

An access is one number, its key: the machine's time, whether it was strong (atomic or volatile),
whether it was so only for threads of its own block, and the thread. Each granule keeps its last
write, and the first and the last read since. Granules have the size of the accesses, and are split
when a smaller access comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.types import S64, Array

TIME_SHIFT = 32
STRONG = np.int64(1 << 31)
OF_BLOCK = np.int64(1 << 30)
THREAD = np.int64(OF_BLOCK - 1)


def time_of(key: int) -> int:
    """Return when an access happened."""
    return key >> TIME_SHIFT


def thread_of(key: int) -> int:
    """Return which thread made an access."""
    return key & int(THREAD)


@dataclass(frozen=True)
class Conflict:
    """An access and an earlier one that nothing orders before it.

    Attributes:
        at: the positions of the later accesses among those that were noted together.
        earlier: the keys of the earlier accesses.
        earlier_writes: whether it was a write.
    """

    at: Array
    earlier: Array
    earlier_writes: bool


#: Returns for each pair of an earlier and a later key whether they are ordered.
IsOrdered = Callable[[Array, Array], Array]


class Shadow:
    """The shadow memory of one region.

    Args:
        nbytes: the region's size.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self.shift: int | None = None
        self._writes: Array | None = None
        self._first_reads: Array | None = None
        self._last_reads: Array | None = None

    def clear(self) -> None:
        """Forget all accesses."""
        self.shift = self._writes = self._first_reads = self._last_reads = None

    def accessed(self) -> tuple[Array, Array]:
        """Return for each byte whether it was written, and whether it was read since."""
        found = []
        for keys in (self._writes, self._last_reads):
            is_accessed = np.zeros(self._nbytes, bool)
            if keys is not None:
                is_accessed[:] = np.repeat(keys != 0, 1 << (self.shift or 0))[: self._nbytes]
            found.append(is_accessed)
        return found[0], found[1]

    def granules(self, offsets: Array, size: int, nbytes: int) -> tuple[Array, int]:
        """Return the granules that accesses touch: threads by granules, flattened.

        Args:
            offsets: the offset of each access, a multiple of its size.
            size: the bytes of one element of the access, a power of two.
            nbytes: the bytes of each access.

        Returns:
            The granules' numbers, and how many each thread has.
        """
        shift = size.bit_length() - 1
        if self.shift is None:
            self.shift = shift
        elif shift < self.shift:
            self._refine(self.shift - shift)
        first = offsets >> self.shift
        count = max(1, nbytes >> self.shift)
        if count == 1:
            return first, 1
        return (first[:, None] + np.arange(count)).ravel(), count

    def writes(self, granules: Array) -> Array:
        """Return the keys of the last writes of some granules, 0 where there was none."""
        if self._writes is None:
            return np.zeros(len(granules), S64)
        keys: Array = self._writes[granules]
        return keys

    def _refine(self, steps: int) -> None:
        """Halve the granules this many times; both halves inherit the accesses of the whole."""
        self.shift = (self.shift or 0) - steps
        for name in ("_writes", "_first_reads", "_last_reads"):
            old = getattr(self, name)
            if old is not None:
                setattr(self, name, np.repeat(old, 1 << steps))

    def _new(self) -> Array:
        return np.zeros((self._nbytes >> (self.shift or 0)) + 1, S64)

    def read(
        self, granules: Array, keys: Array, is_ordered: IsOrdered, ordered_before: int
    ) -> list[Conflict]:
        """Note reads, and return the writes that they race with.

        Args:
            granules: of the reads.
            keys: of the reads, one for each granule.
            is_ordered: decides which accesses are ordered.
            ordered_before: accesses with a key below this one are known to be ordered; at least 1.
        """
        found = []
        if self._writes is not None:
            found = _conflicts(
                self._writes[granules],
                keys,
                is_ordered,
                earlier_writes=True,
                ordered_before=ordered_before,
            )
        if self._first_reads is None or self._last_reads is None:
            self._first_reads, self._last_reads = self._new(), self._new()
        earlier = self._first_reads[granules]
        is_kept = earlier >= ordered_before
        if is_kept.any():
            places = np.flatnonzero(is_kept)
            is_kept[places] = ~is_ordered(earlier[places], keys[places])
            keys_kept = np.where(is_kept, earlier, keys)
        else:
            keys_kept = keys
        self._first_reads[granules[::-1]] = keys_kept[::-1]  # of equal granules the first
        self._last_reads[granules] = keys
        return found

    def write(
        self, granules: Array, keys: Array, is_ordered: IsOrdered, ordered_before: int
    ) -> list[Conflict]:
        """Note writes, and return the reads and writes that they race with; see :meth:`read`."""
        found = []
        if self._writes is None:
            self._writes = self._new()
        else:
            found += _conflicts(
                self._writes[granules],
                keys,
                is_ordered,
                earlier_writes=True,
                ordered_before=ordered_before,
            )
        for reads in (self._first_reads, self._last_reads):
            if reads is not None:
                found += _conflicts(
                    reads[granules],
                    keys,
                    is_ordered,
                    earlier_writes=False,
                    ordered_before=ordered_before,
                )
        self._writes[granules] = keys
        return found


def _conflicts(
    earlier: Array, keys: Array, is_ordered: IsOrdered, *, earlier_writes: bool, ordered_before: int
) -> list[Conflict]:
    if int(earlier.max()) < ordered_before:
        return []
    is_other = (earlier != 0) & (((earlier ^ keys) & THREAD) != 0)
    if not is_other.any():
        return []
    is_other &= ((earlier & keys & STRONG) == 0) | (((earlier | keys) & OF_BLOCK) != 0)
    places = np.flatnonzero(is_other)
    if not len(places):
        return []
    open_places = places[~is_ordered(earlier[places], keys[places])]
    if not len(open_places):
        return []
    return [Conflict(open_places, earlier[open_places], earlier_writes)]
