"""Whether earlier launches of an enqueue have ended, while one runs that may begin before they do.

Only ``griddepcontrol.wait`` makes sure of that. It does so for the thread that executes it, and for
threads of its block that a barrier orders after it.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.happens_before import HappensBefore
from pluginkit.ptx.memory.races import TIME_SHIFT
from pluginkit.ptx.types import Array

#: The bits of each byte of :attr:`Region.earlier`.
WRITTEN, READ = 1, 2

_NEVER = np.iinfo(np.int64).max


class EarlierLaunches:
    """Which threads of a launch have waited for the launches before it.

    Args:
        threads: how many threads the launch has.
        block_threads: how many threads each block has.
    """

    def __init__(self, threads: int, block_threads: int) -> None:
        self._block_threads = block_threads
        self._waited = np.full(threads, _NEVER)
        self._let_next_begin = np.full(threads // block_threads, _NEVER)

    def wait(self, threads: Array, time: int) -> None:
        """Note that threads wait."""
        self._waited[threads] = np.minimum(self._waited[threads], time)

    def let_next_begin(self, threads: Array, time: int) -> None:
        """Note that, as far as the blocks of these threads go, the next launch may begin."""
        blocks = np.unique(threads // self._block_threads)
        self._let_next_begin[blocks] = np.minimum(self._let_next_begin[blocks], time)

    @property
    def end_before_next(self) -> bool:
        """Whether the launches before this one have ended when the next one begins.

        Every block has then let it begin, or has ended: it is enough if one of them waited before.
        """
        return bool((self._first_waits() < self._let_next_begin).any())

    def _first_waits(self) -> Array:
        times: Array = self._waited.reshape(-1, self._block_threads).min(1)
        return times

    def may_run(self, threads: Array, time: int, order: HappensBefore) -> Array:
        """Return for each thread whether earlier launches may still run at its access now."""
        may_run: Array = self._waited[threads] == _NEVER
        has_waited = self._first_waits() != _NEVER
        for place in np.flatnonzero(may_run & has_waited[threads // self._block_threads]).tolist():
            thread = int(threads[place])
            first = thread - thread % self._block_threads
            times = self._waited[first : first + self._block_threads]
            others = np.flatnonzero(times != _NEVER)
            keys = times[others] << TIME_SHIFT | (others + first)
            now = np.full(len(keys), time << TIME_SHIFT | thread)
            if order.is_ordered(keys, now).any():
                may_run[place], self._waited[thread] = False, time
        return may_run
