"""For each thread, up to which time it may rely on what each thread of its block has done.

Barriers of a whole block need one time for all its threads. Where parts of a block meet, as at a
named barrier with a thread count or at an mbarrier, each thread has a row of times, one for each
thread of its block: a vector clock.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.types import Array

CLOCK = np.dtype(np.int32)


class BlockClocks:
    """The rows of a wave's threads.

    Args:
        first_thread: the number in the launch of the wave's first thread.
        block_threads: how many threads a block has.
        blocks: how many blocks the wave has.
    """

    def __init__(self, first_thread: int, block_threads: int, blocks: int) -> None:
        self._first, self._block_threads = first_thread, block_threads
        self._rows = np.zeros((blocks * block_threads, block_threads), CLOCK)

    def new_row(self) -> Array:
        """Return a row of a thread that relies on nothing."""
        return np.zeros(self._block_threads, CLOCK)

    def row(self, thread: int) -> Array:
        """Return a copy of a thread's row."""
        found: Array = self._rows[thread - self._first].copy()
        return found

    def publish(self, threads: Array, time: int, into: Array) -> None:
        """Add to a row what some threads of one block have done, and what they rely on."""
        np.maximum(into, self._rows[threads - self._first].max(axis=0), out=into)
        into[threads % self._block_threads] = time

    def adopt(self, threads: Array, row: Array) -> None:
        """Let some threads of one block rely on a row."""
        places = threads - self._first
        self._rows[places] = np.maximum(self._rows[places], row)

    def meet(self, threads: Array, time: int) -> None:
        """Let threads rely on all that their blocks did before this time."""
        self._rows[threads - self._first] = time

    def meet_in_warps(self, threads: Array, masks: Array, time: int) -> None:
        """Let the lanes that a mask names rely on one another; all that it names are there."""
        warps = threads // self._block_threads << 5 | threads % self._block_threads >> 5
        keys = warps << 32 | masks.astype(np.int64)
        for key in np.unique(keys):
            lanes, row = threads[keys == key], self.new_row()
            self.publish(lanes, time, row)
            self._rows[lanes - self._first] = row

    def is_ordered(self, earlier: Array, later: Array, time: Array) -> Array:
        """Return for each pair of threads of one block whether the later one relies on a time."""
        ordered: Array = self._rows[later - self._first, earlier % self._block_threads] > time
        return ordered
