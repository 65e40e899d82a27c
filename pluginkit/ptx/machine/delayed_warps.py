"""Delay some warps before they signal others, as a GPU's warp scheduler may."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.types import Array


class DelayedWarps:
    """Warps that wait in front of an atomic or a volatile store until no other thread can run.

    In a kernel without races, only the order in which threads reach these instructions can change
    a result. In about half of the thread blocks some warps reach them late, once after each
    barrier. With an even seed the first warp of a block is never delayed, because it often signals
    for its block, and neither is the last block, which collects the results where blocks count
    themselves.

    Args:
        threads: the threads of the wave.
        signalling_blocks: the basic blocks with an atomic or a volatile store.
        seed: chooses the warps.
    """

    def __init__(self, threads: Threads, signalling_blocks: Collection[int], seed: int) -> None:
        rng = np.random.default_rng((seed, 1))
        blocks, warps = len(threads.blocks), threads.warps_per_block
        is_slow = rng.random((blocks, warps)) < 0.5
        is_slow[rng.random(blocks) < 0.5] = False
        if seed % 2 == 0:
            first = int(np.argmin(threads.inner))  # of a block: where thread 0 is
            is_slow[:, first >> 5] = False
            is_slow[-1] = False
        self._signalling_blocks = signalling_blocks
        self._rng, self._blocks = rng, threads.block
        self._is_slow = is_slow.ravel()[threads.warp]
        self._is_held = self._is_slow.copy()
        self._waiting: dict[int, list[Array]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold(self, number: int, ids: Array) -> Array:
        """Hold back slow threads in front of a basic block, and return the others."""
        if number not in self._signalling_blocks:
            return ids
        slow = self._is_held[ids]
        if not slow.any():
            return ids
        self._waiting.setdefault(number, []).append(ids[slow])
        fast: Array = ids[~slow]
        return fast

    def after_barrier(self, ids: Array) -> None:
        """Note that threads have passed a barrier, after which slow warps are delayed again."""
        self._is_held[ids] = self._is_slow[ids]

    def release(self) -> dict[int, list[Array]]:
        """Release the held threads of about half of the thread blocks, of one at least."""
        if not self._waiting:
            return {}
        groups = [(number, ids) for number, listed in self._waiting.items() for ids in listed]
        blocks = np.unique(np.concatenate([self._blocks[ids] for _, ids in groups]))
        chosen = blocks[self._rng.random(len(blocks)) < 0.5]
        if not len(chosen):
            chosen = blocks[:1]
        released: dict[int, list[Array]] = {}
        self._waiting = {}
        for number, ids in groups:
            goes = np.isin(self._blocks[ids], chosen)
            self._is_held[ids[goes]] = False
            for where, some in ((released, ids[goes]), (self._waiting, ids[~goes])):
                if len(some):
                    where.setdefault(number, []).append(some)
        return released
