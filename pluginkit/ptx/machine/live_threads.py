"""The threads of a wave that have not ended."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.types import U32, Array


class LiveThreads:
    """The threads of a wave that have not ended.

    Args:
        threads: the threads of the wave.

    Attributes:
        of_block: for each thread block of the wave how many there are.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.of_block = np.full(len(threads.blocks), threads.per_block)
        self._lanes = threads.warp_masks()

    def end(self, ids: Array) -> None:
        """Note that threads end."""
        self.of_block -= np.bincount(self._threads.block[ids], minlength=len(self.of_block))
        bits = np.left_shift(np.uint32(1), self._threads.lane[ids].astype(U32))
        np.bitwise_and.at(self._lanes, self._threads.warp[ids], ~bits)

    def are_together(self, ids: Array, masks: Array, present: Array) -> Array:
        """Return for each thread whether the lanes in its mask are all present that live."""
        missing = masks & self._lanes[self._threads.warp[ids]] & ~present
        is_complete: Array = missing == 0
        return is_complete

    def blocks_with_partial_warps(self) -> Array:
        """Return for each thread block whether some, but not all, lanes of a warp have ended."""
        is_cut = (self._lanes != 0) & (self._lanes != self._threads.warp_masks())
        of_blocks: Array = is_cut.reshape(len(self.of_block), -1).any(axis=1)
        return of_blocks
