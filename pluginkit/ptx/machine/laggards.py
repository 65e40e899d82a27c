"""Warps that fall behind the others, as those of a GPU may."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.types import Array


class Laggards:
    """Threads that wait before they tell others something, until nobody else can run.

    What matters of an order without races is who comes first to an atomic or a volatile store. In
    about half of the blocks some of the warps come late to them, once after each barrier. With an
    even seed no first warp is late, because it often speaks for its block, and neither is the last
    block: where blocks count themselves, it is the one that collects the results.

    Args:
        threads: of a wave.
        telling: the blocks of code that tell others something.
        seed: of the choice.
    """

    def __init__(self, threads: Threads, telling: Collection[int], seed: int) -> None:
        rng = np.random.default_rng((seed, 1))
        blocks, warps = len(threads.blocks), threads.warps_per_block
        is_slow = rng.random((blocks, warps)) < 0.5
        is_slow[rng.random(blocks) < 0.5] = False
        if seed % 2 == 0:
            first = int(np.argmin(threads.inner))  # of a block: where thread 0 is
            is_slow[:, first >> 5] = False
            is_slow[-1] = False
        self._telling = telling
        self._rng, self._blocks = rng, threads.block
        self._is_slow = is_slow.ravel()[threads.warp]
        self._is_held = self._is_slow.copy()
        self._waiting: dict[int, list[Array]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold(self, number: int, ids: Array) -> Array:
        """Keep the slow ones of some threads that run a block of code next; return the others."""
        if number not in self._telling:
            return ids
        slow = self._is_held[ids]
        if not slow.any():
            return ids
        self._waiting.setdefault(number, []).append(ids[slow])
        fast: Array = ids[~slow]
        return fast

    def meet(self, ids: Array) -> None:
        """Threads met at a barrier: those that were late may be so again."""
        self._is_held[ids] = self._is_slow[ids]

    def release(self) -> dict[int, list[Array]]:
        """Let about half of the blocks go on whose threads wait here, at least one of them."""
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
