"""Writes that other blocks do not see yet, as long as the memory model allows that.

Relaxed and volatile stores, and atomics whose old value nobody reads, do not race with each other,
so that no race tells of a fence that is missing between them. Here they reach memory late: once a
thread fences them, once a thread of the same block touches the same words, or in the end. Whoever
relied on an order that no fence makes then computes something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.memory.sites import Part, Site
from pluginkit.ptx.types import Array

_WORD_BITS = 2

#: Writes what some of the threads of a group hold; gets their places.
Apply = Callable[[Array], None]


@dataclass(eq=False)
class _Held:
    """Writes of one instruction that have not reached memory.

    Attributes:
        region: where they go.
        threads: whose they are, by their numbers in the wave.
        places: of these threads in the instruction's group.
        words: that each touches, threads by words.
        time: when the instruction ran.
        apply: makes them happen.
    """

    region: Region
    threads: Array
    places: Array
    words: Array
    time: int
    apply: Apply

    def publish(self, chosen: Array) -> bool:
        """Make the chosen writes happen; return whether any are left."""
        self.apply(self.places[chosen])
        kept = ~chosen
        self.threads, self.places = self.threads[kept], self.places[kept]
        self.words = self.words[kept]
        return bool(len(self.threads))


class DelayedWrites:
    """The writes that one wave's threads have not published.

    Args:
        block_threads: of each block.
        seed: of the order in which writes reach memory that nothing orders.
    """

    def __init__(self, block_threads: int, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 2))
        self._block_threads = block_threads
        self._warps = -(-block_threads // 32)
        self._held: list[_Held] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, site: Site, part: Part, time: int, apply: Apply) -> None:
        """Keep writes back.

        Args:
            site: the instruction.
            part: the threads, and where they write.
            time: when.
            apply: writes what the threads at some places hold.
        """
        words = _words(site, part)
        places = np.arange(len(part.ids))
        self._held.append(_Held(part.region, part.ids, places, words, time, apply))

    def publish_touched(self, site: Site, part: Part) -> None:
        """Threads are about to access words: what their own blocks wrote there is to be seen."""
        touched: Array | None = None
        for held in list(self._held):
            if held.region is not part.region:
                continue
            if touched is None:
                touched = self._by_block(part.ids, _words(site, part))
            is_touched = np.isin(self._by_block(held.threads, held.words), touched)
            self._publish(held, np.logical_or.reduce(is_touched, axis=1))

    def _by_block(self, threads: Array, words: Array) -> Array:
        """Numbers that are equal where block and word are."""
        numbers: Array = (threads // self._block_threads)[:, None] << np.int64(40) | words
        return numbers

    def publish_fenced(self, threads: Array, acquired: Array) -> None:
        """Threads ran a fence.

        It covers what they and the rest of their warps wrote, and what the others of their blocks
        wrote before they met at a barrier.

        Args:
            threads: they, by their numbers in the wave.
            acquired: for each the time of the last barrier that it waited at.
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
        """Let about half of the instructions' writes happen, one at least."""
        chosen = self._rng.random(len(self._held)) < 0.5
        chosen[self._rng.integers(len(chosen))] = True
        for held in [one for one, goes in zip(self._held, chosen, strict=True) if goes]:
            self._publish(held, np.ones(len(held.threads), bool))

    def publish_all(self) -> None:
        """Let everything happen."""
        for held in list(self._held):
            self._publish(held, np.ones(len(held.threads), bool))

    def _publish(self, held: _Held, chosen: Array) -> None:
        if chosen.any() and not held.publish(chosen):
            self._held.remove(held)


def _words(site: Site, part: Part) -> Array:
    first = (part.first * site.dtype.itemsize) >> _WORD_BITS
    words: Array = first[:, None] + np.arange(max(1, site.nbytes >> _WORD_BITS))
    return words
