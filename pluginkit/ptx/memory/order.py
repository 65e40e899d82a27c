"""Decide which access happens before which, from barriers, fences, and flags that fences publish.

Every access carries the time of its step. Barriers order all earlier accesses of their threads.
Across blocks, and between threads without a barrier, an access is ordered once its thread has
fenced it and then told another thread, through an atomic or volatile access to the same word, which
fences too before it goes on.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.hearsay import Fact, Node, known, node
from pluginkit.ptx.memory.races import THREAD, TIME_SHIFT
from pluginkit.ptx.types import Array

_ALWAYS = np.iinfo(np.int64).max


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
        self._heard: dict[int, Node] = {}  # by threads that have fenced since
        self._heard_by_block: dict[int, Node] = {}
        self._pending: dict[int, Node] = {}  # by threads that have not
        self._told: dict[tuple[int, int], Node] = {}

    def ordered_before(self, threads: Array, *, of_block: bool) -> int:
        """Accesses below this number happen before what these threads do next; at least 1.

        Args:
            threads: the threads.
            of_block: whether only their own blocks' accesses are meant.
        """
        if not of_block or self._has_partial_barriers:
            return 1
        return max(1, int(self.acquired[threads].min()) << TIME_SHIFT)

    def barrier(
        self, threads: Array, time: int, *, waits: bool = True, is_partial: bool = False
    ) -> None:
        """Note that threads met at a barrier.

        Args:
            threads: the threads.
            time: when.
            waits: whether they waited for the others, rather than only arrive.
            is_partial: whether some of the block took no part.
        """
        self._has_partial_barriers |= is_partial or not waits
        self.released[threads] = time
        if not waits:
            return
        self.acquired[threads] = time
        if self._heard or self._pending:
            for thread in {*self._heard, *self._pending} & set(threads.tolist()):
                block = thread // self._block_threads
                self._heard_by_block[block] = node(
                    None, self._heard_by_block.get(block), self._heard.get(thread),
                    self._pending.pop(thread, None),
                )  # fmt: skip

    def warp_barrier(self, threads: Array, masks: Array, time: int) -> None:
        """Note that threads met at a ``bar.warp.sync``."""
        self.warp_time[threads] = time
        self.warp_mask[threads] = masks
        if self._heard:
            self._tell_warps(threads)

    def _tell_warps(self, threads: Array) -> None:
        """What a thread has heard, those know that it meets."""
        meetings = {self._lanes(thread) for thread in set(self._heard) & set(threads.tolist())}
        for lanes in meetings:
            heard = {id(one): one for lane in lanes if (one := self._heard.get(lane)) is not None}
            shared = node(None, *heard.values())
            self._heard.update(dict.fromkeys(lanes, shared))

    def _lanes(self, thread: int) -> tuple[int, ...]:
        """The threads that a thread has last met at a ``bar.warp.sync``."""
        first = thread - thread % self._block_threads % 32
        mask = int(self.warp_mask[thread])
        end = (thread // self._block_threads + 1) * self._block_threads
        return tuple(first + lane for lane in range(min(32, end - first)) if mask >> lane & 1)

    def end(self, threads: Array) -> None:
        """Note that threads ended, which counts as an arrival at barriers."""
        self.released[threads] = _ALWAYS

    def fence(self, threads: Array, time: int, *, in_block: bool) -> None:
        """Note a fence, for the threads' block or for the whole device."""
        self._has_fences = True
        self._fenced_in_block[threads] = time
        if not in_block:
            self._fenced[threads] = time
        if self._pending:
            for thread in set(self._pending) & set(threads.tolist()):
                heard = self._pending.pop(thread)
                self._heard[thread] = node(None, self._heard.get(thread), heard)

    def tell(self, threads: Array, region: int, granules: Array) -> None:
        """Note a strong write of a word: threads that read it learn what the writers fenced."""
        if not self._has_fences:
            return
        fenced = self._fenced_in_block[threads] > 0
        for thread, granule in zip(
            threads[fenced].tolist(), granules[fenced].tolist(), strict=True
        ):
            self._tell(thread, (region, granule))

    def _tell(self, thread: int, word: tuple[int, int]) -> None:
        block = thread // self._block_threads
        fact = Fact(
            thread, block, int(self._fenced[thread]), int(self._fenced_in_block[thread]),
            int(self.acquired[thread]), int(self.warp_time[thread]), self._lanes(thread),
        )  # fmt: skip
        self._told[word] = node(
            fact, self._told.get(word), self._heard.get(thread), self._heard_by_block.get(block)
        )

    def hear(self, threads: Array, region: int, granules: Array, *, fences: bool) -> None:
        """Note a strong read of a word."""
        if not self._told:
            return
        into = self._heard if fences else self._pending
        for thread, granule in zip(threads.tolist(), granules.tolist(), strict=True):
            told = self._told.get((region, granule))
            if told is not None:
                into[thread] = node(None, into.get(thread), told)

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
        if self._heard or self._heard_by_block:
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
        for heard in (self._heard.get(reader), self._heard_by_block.get(own)):
            if heard is None:
                continue
            facts = known(heard)
            if facts.of_thread.get(writer, 0) > time or facts.of_block.get(block, 0) > time:
                return True
            if facts.of_fenced.get(block, 0) > time and self._fenced[writer] > time:
                return True
            if facts.of_fenced_thread.get(writer, 0) > time and self._fenced[writer] > time:
                return True
            if block == own and facts.of_neighbour.get(writer, 0) > time:
                return True
        return False
