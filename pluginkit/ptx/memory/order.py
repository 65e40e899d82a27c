"""What happens before what: barriers, warp barriers, fences, and flags that fences publish.

Every access carries the time of its step. Barriers order all earlier accesses of their threads.
Across blocks, and between threads without a barrier, an access is ordered once its thread has
fenced it and then told another thread, through an atomic or volatile access to the same word, which
fences too before it goes on.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.races import THREAD, TIME_SHIFT
from pluginkit.ptx.types import Array

_NEVER, _ALWAYS = 0, np.iinfo(np.int64).max

#: What a thread knows of others. ``(0, thread)``: all that the thread did before that time.
#: ``(1, block)``: what those threads of a block did before it that have fenced it themselves.
#: ``(2, block)``: all that the block did before it.  ``(3, thread)``: as 0, for its own block only.
Knowledge = dict[tuple[int, int], int]


class Order:
    """The order of one launch.

    Args:
        threads: of the launch.
        block_threads: of each block.
    """

    def __init__(self, threads: int, block_threads: int) -> None:
        self._block_threads = block_threads
        self.acquired = np.zeros(threads, np.int64)  # the last barrier whose others it waited for
        self.released = np.zeros(threads, np.int64)  # the last barrier that others waited at for it
        self.warp_time = np.zeros(threads, np.int64)
        self.warp_mask = np.zeros(threads, np.uint32)
        self._fenced = np.zeros(threads, np.int64)
        self._fenced_in_block = np.zeros(threads, np.int64)
        self._has_fences = False
        self._has_partial_barriers = False
        self._known: dict[int, Knowledge] = {}
        self._known_to_block: dict[int, Knowledge] = {}
        self._pending: dict[int, Knowledge] = {}
        self._told: dict[tuple[int, int], Knowledge] = {}

    def ordered_before(self, threads: Array, *, of_block: bool) -> int:
        """Accesses below this number happen before what these threads do next; at least 1.

        Args:
            threads: they.
            of_block: whether only their own blocks' accesses are meant.
        """
        if not of_block or self._has_partial_barriers:
            return 1
        return max(1, int(self.acquired[threads].min()) << TIME_SHIFT)

    def barrier(
        self, threads: Array, time: int, *, waits: bool = True, is_partial: bool = False
    ) -> None:
        """Threads met at a barrier.

        Args:
            threads: they.
            time: when.
            waits: whether they waited for the others, rather than only arrive.
            is_partial: whether some of the block took no part.
        """
        self._has_partial_barriers |= is_partial or not waits
        self.released[threads] = time
        if not waits:
            return
        self.acquired[threads] = time
        if self._known or self._pending:
            for thread in {*self._known, *self._pending} & set(threads.tolist()):
                block = self._known_to_block.setdefault(thread // self._block_threads, {})
                _join(block, self._known.get(thread))
                _join(block, self._pending.pop(thread, None))

    def warp_barrier(self, threads: Array, masks: Array, time: int) -> None:
        """Threads met at a ``bar.warp.sync``."""
        self.warp_time[threads] = time
        self.warp_mask[threads] = masks

    def end(self, threads: Array) -> None:
        """Threads ended: for barriers that is an arrival."""
        self.released[threads] = _ALWAYS

    def fence(self, threads: Array, time: int, *, in_block: bool) -> None:
        """Threads ran a fence, for their block only or for the whole device."""
        self._has_fences = True
        self._fenced_in_block[threads] = time
        if not in_block:
            self._fenced[threads] = time
        if self._pending:
            for thread in set(self._pending) & set(threads.tolist()):
                _join(self._known.setdefault(thread, {}), self._pending.pop(thread))

    def tell(self, threads: Array, region: int, granules: Array) -> None:
        """Threads wrote a word in the strong way: those that read it learn what they fenced."""
        if not self._has_fences:
            return
        fenced = self._fenced_in_block[threads] > 0
        for thread, granule in zip(
            threads[fenced].tolist(), granules[fenced].tolist(), strict=True
        ):
            self._tell(thread, (region, granule))

    def _tell(self, thread: int, word: tuple[int, int]) -> None:
        told = self._told.setdefault(word, {})
        fence, block = int(self._fenced[thread]), thread // self._block_threads
        _raise(told, (3, thread), int(self._fenced_in_block[thread]))
        if fence:
            _raise(told, (0, thread), fence)
            barrier = int(self.acquired[thread])
            _raise(told, (2 if fence > barrier else 1, block), barrier)
        _join(told, self._known.get(thread))
        _join(told, self._known_to_block.get(block))

    def hear(self, threads: Array, region: int, granules: Array, *, fences: bool) -> None:
        """Threads read a word in the strong way."""
        if not self._told:
            return
        for thread, granule in zip(threads.tolist(), granules.tolist(), strict=True):
            told = self._told.get((region, granule))
            if told:
                into = self._known if fences else self._pending
                _join(into.setdefault(thread, {}), told)

    def is_ordered(self, earlier: Array, later: Array) -> Array:
        """Whether each earlier access happens before its later one."""
        u, v = earlier & THREAD, later & THREAD
        time = earlier >> TIME_SHIFT
        same_block = u // self._block_threads == v // self._block_threads
        ordered: Array = u == v
        ordered |= same_block & (time < self.acquired[v]) & (time < self.released[u])
        if ordered.all():
            return ordered
        in_warp = self._block_threads
        lane = (u % in_warp) & 31
        same_warp = same_block & ((u % in_warp) >> 5 == (v % in_warp) >> 5)
        ordered |= (
            same_warp
            & (time < self.warp_time[v])
            & (time < self.warp_time[u])
            & ((self.warp_mask[v] >> lane.astype(np.uint32) & 1) != 0)
        )
        if self._known or self._known_to_block:
            self._look_up(u, v, time, ordered)
        return ordered

    def _look_up(self, u: Array, v: Array, time: Array, ordered: Array) -> None:
        seen: dict[tuple[int, int, int], bool] = {}
        for place in np.flatnonzero(~ordered).tolist():
            pair = (int(v[place]), int(u[place]), int(time[place]))
            if pair not in seen:
                seen[pair] = self._knows(*pair)
            ordered[place] = seen[pair]

    def _knows(self, reader: int, writer: int, time: int) -> bool:
        block, own = writer // self._block_threads, reader // self._block_threads
        for known in (self._known.get(reader), self._known_to_block.get(own)):
            if known is None:
                continue
            if known.get((0, writer), _NEVER) > time or known.get((2, block), _NEVER) > time:
                return True
            if known.get((1, block), _NEVER) > time and self._fenced[writer] > time:
                return True
            if block == own and known.get((3, writer), _NEVER) > time:
                return True
        return False


def _raise(known: Knowledge, key: tuple[int, int], time: int) -> None:
    if known.get(key, _NEVER) < time:
        known[key] = time


def _join(known: Knowledge, more: Knowledge | None) -> None:
    for key, time in (more or {}).items():
        _raise(known, key, time)
