"""Pending strong stores: writes that other thread blocks do not see yet.

Relaxed and volatile stores, and atomics whose old value nobody reads, do not race with each other,
so that a fence that is missing between them shows in no race. Here they reach memory as late as the
memory model allows: at a fence, when a thread of the same block touches the same words, or at the
end. A kernel that lacks the fence then computes another result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.types import Array

#: Makes the writes of the threads at some positions of their group.
Apply = Callable[[Array], None]


@dataclass(eq=False)
class _Held:
    """Writes of one instruction that have not reached memory.

    Attributes:
        region: the region that they change.
        threads: the numbers in the wave of the threads that write.
        places: the positions of these threads in the instruction's group.
        words: the words that each thread writes, threads by words.
        time: when the instruction ran.
        apply: makes the writes.
    """

    region: Region
    threads: Array
    places: Array
    words: Array
    time: int
    apply: Apply

    def publish(self, chosen: Array) -> bool:
        """Make the chosen writes; return whether any are left."""
        self.apply(self.places[chosen])
        kept = ~chosen
        self.threads, self.places = self.threads[kept], self.places[kept]
        self.words = self.words[kept]
        return bool(len(self.threads))


class DelayedWrites:
    """The pending writes of one wave.

    Args:
        block_threads: how many threads a block has.
        seed: chooses the order in which unordered writes reach memory.
    """

    def __init__(self, block_threads: int, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 2))
        self._block_threads = block_threads
        self._warps = -(-block_threads // 32)
        self._held: list[_Held] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, access: MemoryAccess, part: AccessPart, time: int, apply: Apply) -> None:
        """Add pending writes.

        Args:
            access: the instruction.
            part: the threads, and where they write.
            time: when the instruction runs.
            apply: makes the writes of the threads at some positions.
        """
        words = part.words(access)
        places = np.arange(len(part.ids))
        self._held.append(_Held(part.region, part.ids, places, words, time, apply))

    def publish_touched(self, access: MemoryAccess, part: AccessPart) -> None:
        """Publish what the blocks of some threads wrote to words that the threads access next."""
        touched: Array | None = None
        for held in list(self._held):
            if held.region is not part.region:
                continue
            if touched is None:
                touched = self._by_block(part.ids, part.words(access))
            is_touched = np.isin(self._by_block(held.threads, held.words), touched)
            self._publish(held, np.logical_or.reduce(is_touched, axis=1))

    def _by_block(self, threads: Array, words: Array) -> Array:
        """Return numbers that are equal where both block and word are equal."""
        numbers: Array = (threads // self._block_threads)[:, None] << np.int64(40) | words
        return numbers

    def publish_fenced(self, threads: Array, acquired: Array) -> None:
        """Publish what a fence covers.

        That is what its threads and the rest of their warps wrote, and what other threads of their
        blocks wrote before their last common barrier.

        Args:
            threads: the numbers in the wave of the threads that ran the fence.
            acquired: for each the time of the last barrier at which it waited.
        """
        warps = np.unique(self._warp_of(threads))
        blocks = threads // self._block_threads
        barriers = np.zeros(int(blocks.max()) + 1, np.int64)
        np.maximum.at(barriers, blocks, acquired)
        for held in list(self._held):
            own = held.threads // self._block_threads
            last = np.where(own < len(barriers), barriers[np.minimum(own, len(barriers) - 1)], 0)
            chosen = np.isin(self._warp_of(held.threads), warps) | (held.time < last)
            self._publish(held, chosen)

    def _warp_of(self, threads: Array) -> Array:
        blocks, inner = np.divmod(threads, self._block_threads)
        warps: Array = blocks * self._warps + (inner >> 5)
        return warps

    def publish_some(self) -> None:
        """Make the writes of about half of the instructions, of one at least."""
        chosen = self._rng.random(len(self._held)) < 0.5
        chosen[self._rng.integers(len(chosen))] = True
        for held in [one for one, goes in zip(self._held, chosen, strict=True) if goes]:
            self._publish(held, np.ones(len(held.threads), bool))

    def publish_all(self) -> None:
        """Make all writes."""
        for held in list(self._held):
            self._publish(held, np.ones(len(held.threads), bool))

    def _publish(self, held: _Held, chosen: Array) -> None:
        if chosen.any() and not held.publish(chosen):
            self._held.remove(held)
