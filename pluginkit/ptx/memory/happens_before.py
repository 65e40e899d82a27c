"""Decide which access happens before which, from barriers, fences and flags.

Every access carries the time of its step. A barrier orders all earlier accesses of its threads;
where parts of a block meet, its threads have clocks.

Without a barrier, as across blocks, an access of thread A happens before one of thread B if A runs
a fence after it and then writes a flag, and B reads that flag and then runs a fence. A flag is any
word that both access with strong operations: atomics, or volatile loads and stores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.block_clocks import BlockClocks
from pluginkit.ptx.memory.causality import CausalityNode, Release, causality_node, happened_before
from pluginkit.ptx.memory.races import OF_BLOCK, STRONG, THREAD, TIME_SHIFT
from pluginkit.ptx.types import Array


@dataclass
class Meeting:
    """What the threads publish that arrive at a barrier of a part of a block.

    Attributes:
        row: for each thread of the block up to which time.
        acquired: what they have acquired from other blocks.
    """

    row: Array
    acquired: CausalityNode | None = None

    def copy(self) -> Meeting:
        """Return the same for threads that wait, while others arrive."""
        return Meeting(self.row.copy(), self.acquired)


class HappensBefore:
    """The happens-before order of the accesses of one launch.

    Args:
        threads: how many threads the launch has.
        block_threads: how many threads each block has.
        has_clocks: whether parts of a block meet.

    Attributes:
        waited_at: for each thread the time of the last barrier at which it waited for others.
        proxies_fenced_at: for each thread the time of its last ``fence.proxy.async``.
        clocks: the clocks of the current wave's threads; None in a kernel in which only whole
            blocks meet.
    """

    def __init__(self, threads: int, block_threads: int, *, has_clocks: bool = False) -> None:
        self._block_threads, self._has_clocks = block_threads, has_clocks
        self.waited_at = np.zeros(threads, np.int64)
        self.clocks: BlockClocks | None = None
        self.proxies_fenced_at = np.zeros(threads, np.int64)
        self._block_met_at = np.zeros(threads, np.int64)
        self.warp_time = np.zeros(threads, np.int64)
        self.warp_mask = np.zeros(threads, np.uint32)
        self._fenced = np.zeros(threads, np.int64)
        self._fenced_in_block = np.zeros(threads, np.int64)
        self._has_fences = False
        #: The clocks of threads at their last fence: of the block's scope, and of a wider one.
        self._fenced_rows: tuple[dict[int, Array], dict[int, Array]] = ({}, {})
        #: What threads acquired: they read a flag, and then ran a fence.
        self._acquired: dict[int, CausalityNode] = {}
        self._acquired_by_block: dict[int, CausalityNode] = {}
        #: Flags that threads have read, without a fence since.
        self._unfenced_reads: dict[int, CausalityNode] = {}
        #: What the writers of each flag released, by region and granule.
        self._releases: dict[tuple[int, int], CausalityNode] = {}

    def begin_wave(self, first_thread: int, blocks: int) -> None:
        """Begin with other blocks, whose threads have done nothing so far."""
        if self._has_clocks:
            self.clocks = BlockClocks(first_thread, self._block_threads, blocks)

    def ordered_before(self, threads: Array, *, of_block: bool) -> int:
        """Return a key below which every access happens before the next ones of some threads.

        It spares :meth:`is_ordered` most of the work.

        Args:
            threads: the threads that access memory next.
            of_block: whether only threads of their own blocks can have accessed it, as in shared
                memory.

        Returns:
            The key, at least 1.
        """
        if not of_block:
            return 1
        return max(1, int(self._block_met_at[threads].min()) << TIME_SHIFT)

    def barrier(self, threads: Array, time: int) -> None:
        """Note that all threads of a block that have not ended met at a barrier."""
        self.waited_at[threads] = time
        self._block_met_at[threads] = time
        if self.clocks is not None:
            self.clocks.meet(threads, time)
        self._share_in_blocks(threads)

    def arrive(self, threads: Array, time: int, meeting: Meeting) -> None:
        """Note that some threads of one block arrived where others wait for them."""
        if self.clocks is not None:
            self.clocks.publish(threads, time, meeting.row)
        if self._acquired or self._unfenced_reads:
            listed, reads = threads.tolist(), self._unfenced_reads
            found = [each.get(thread) for each in (self._acquired, reads) for thread in listed]
            if any(found):
                meeting.acquired = causality_node(None, meeting.acquired, *found)

    def wait(self, threads: Array, time: int, meeting: Meeting) -> None:
        """Note that some threads of one block waited for those that arrived."""
        self.waited_at[threads] = time
        if self.clocks is not None:
            self.clocks.adopt(threads, meeting.row)
        if meeting.acquired is not None:
            for thread in threads.tolist():
                earlier = self._acquired.get(thread)
                self._acquired[thread] = causality_node(None, earlier, meeting.acquired)

    def _share_in_blocks(self, threads: Array) -> None:
        """Give each block what its threads have acquired, fence or not."""
        if self._acquired or self._unfenced_reads:
            for thread in {*self._acquired, *self._unfenced_reads} & set(threads.tolist()):
                block = thread // self._block_threads
                self._acquired_by_block[block] = causality_node(
                    None, self._acquired_by_block.get(block), self._acquired.get(thread),
                    self._unfenced_reads.pop(thread, None),
                )  # fmt: skip

    def warp_barrier(self, threads: Array, masks: Array, time: int) -> None:
        """Note that threads met at a ``bar.warp.sync``."""
        self.warp_time[threads] = time
        self.warp_mask[threads] = masks
        if self.clocks is not None:
            self.clocks.meet_in_warps(threads, masks, time)
        if self._acquired:
            self._share_in_warps(threads)

    def _share_in_warps(self, threads: Array) -> None:
        """Give each thread of a ``bar.warp.sync`` what the others there have acquired."""
        meetings = {self._lanes(thread) for thread in set(self._acquired) & set(threads.tolist())}
        for lanes in meetings:
            acquired = {
                id(one): one for lane in lanes if (one := self._acquired.get(lane)) is not None
            }
            shared = causality_node(None, *acquired.values())
            self._acquired.update(dict.fromkeys(lanes, shared))

    def _lanes(self, thread: int) -> tuple[int, ...]:
        """Return the threads of a thread's last ``bar.warp.sync``, itself included."""
        first = thread - thread % self._block_threads % 32
        mask = int(self.warp_mask[thread])
        end = (thread // self._block_threads + 1) * self._block_threads
        return tuple(first + lane for lane in range(min(32, end - first)) if mask >> lane & 1)

    def fence(self, threads: Array, time: int, *, in_block: bool) -> None:
        """Note a fence whose scope is the block, or the device or system."""
        self._has_fences = True
        self._fenced_in_block[threads] = time
        if not in_block:
            self._fenced[threads] = time
        if self.clocks is not None:
            for thread in threads.tolist():
                for rows in self._fenced_rows[: 1 if in_block else 2]:
                    rows[thread] = self.clocks.row(thread)
        if self._unfenced_reads:
            for thread in set(self._unfenced_reads) & set(threads.tolist()):
                acquired = self._unfenced_reads.pop(thread)
                self._acquired[thread] = causality_node(None, self._acquired.get(thread), acquired)

    def fence_proxies(self, threads: Array, time: int) -> None:
        """Note a fence between usual accesses and bulk copies."""
        self.proxies_fenced_at[threads] = time

    def release(self, threads: Array, region: int, granules: Array) -> None:
        """Note a strong write of a word: it publishes what the writers did before their fences."""
        if not self._has_fences:
            return
        fenced = self._fenced_in_block[threads] > 0
        for thread, granule in zip(
            threads[fenced].tolist(), granules[fenced].tolist(), strict=True
        ):
            self._release(thread, (region, granule))

    def _release(self, thread: int, word: tuple[int, int]) -> None:
        block = thread // self._block_threads
        release = Release(
            thread, block, int(self._fenced[thread]), int(self._fenced_in_block[thread]),
            int(self._block_met_at[thread]), int(self.warp_time[thread]), self._lanes(thread),
            self._fenced_rows[0].get(thread), self._fenced_rows[1].get(thread),
        )  # fmt: skip
        self._releases[word] = causality_node(
            release,
            self._releases.get(word),
            self._acquired.get(thread),
            self._acquired_by_block.get(block),
        )

    def acquire(self, threads: Array, region: int, granules: Array, *, fences: bool) -> None:
        """Note a strong read of a word.

        Args:
            threads: the threads that read.
            region: the region's identity.
            granules: the granule that each thread reads.
            fences: whether the read acquires by itself; otherwise the next fence does.
        """
        if not self._releases:
            return
        into = self._acquired if fences else self._unfenced_reads
        for thread, granule in zip(threads.tolist(), granules.tolist(), strict=True):
            released = self._releases.get((region, granule))
            if released is not None:
                into[thread] = causality_node(None, into.get(thread), released)

    def is_ordered(self, earlier: Array, later: Array) -> Array:
        """Return for each pair of accesses whether the earlier one happens before the later one.

        Two strong accesses of one block count as ordered even if one is strong only there.
        """
        u, v = earlier & THREAD, later & THREAD
        time = earlier >> TIME_SHIFT
        same_block = u // self._block_threads == v // self._block_threads
        ordered: Array = u == v
        ordered |= (
            same_block & (earlier & later & STRONG != 0) & ((earlier | later) & OF_BLOCK != 0)
        )
        ordered |= same_block & (time < self._block_met_at[v])
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
        if self.clocks is not None:
            places = np.flatnonzero(same_block & ~ordered)
            ordered[places] = self.clocks.is_ordered(u[places], v[places], time[places])
        if self._acquired or self._acquired_by_block:
            self._add_causality(u, v, time, ordered)
        return ordered

    def _add_causality(self, u: Array, v: Array, time: Array, ordered: Array) -> None:
        seen: dict[tuple[int, int, int], bool] = {}
        for place in np.flatnonzero(~ordered).tolist():
            pair = (int(v[place]), int(u[place]), int(time[place]))
            if pair not in seen:
                seen[pair] = self._is_published(*pair)
            ordered[place] = seen[pair]

    def _is_published(self, reader: int, writer: int, time: int) -> bool:
        block, own = writer // self._block_threads, reader // self._block_threads
        for acquired in (self._acquired.get(reader), self._acquired_by_block.get(own)):
            if acquired is None:
                continue
            before = happened_before(acquired)
            if before.of_thread.get(writer, 0) > time or before.of_block.get(block, 0) > time:
                return True
            if before.of_fenced.get(block, 0) > time and self._fenced[writer] > time:
                return True
            if before.of_fenced_thread.get(writer, 0) > time and self._fenced[writer] > time:
                return True
            if block == own and before.of_neighbour.get(writer, 0) > time:
                return True
        return False
