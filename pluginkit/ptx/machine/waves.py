"""The waves of a launch: the thread blocks that are resident at the same time."""

from __future__ import annotations

from math import prod

import numpy as np

from pluginkit.ptx.machine.launch_arguments import PrivateSizes
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.memory.block_clocks import CLOCK
from pluginkit.ptx.types import Three

_THREADS = 1 << 17
_SHARED_BYTES = 16 << 20
_LOCAL_BYTES = 64 << 20
_CLOCK_BYTES = 64 << 20


class Waves:
    """The waves of one launch.

    Args:
        grid: the launch's grid.
        block: its block.
        sizes: the memory of each block and thread, which limits how many are resident.
        seed: chooses an order of the blocks, and of the warps in each; None for ascending.
        may_wait: whether a block may wait for another one. In ascending order the first wave is
            then one block, and each wave has twice as many as the one before: a block that waits
            for a later one, which a GPU need not run at the same time, waits in vain.
        has_clocks: whether each thread needs a clock for every thread of its block.

    Attributes:
        seed: the seed.
    """

    def __init__(
        self,
        grid: Three,
        block: Three,
        sizes: PrivateSizes,
        seed: int | None,
        *,
        may_wait: bool,
        has_clocks: bool,
    ) -> None:
        self._grid, self._block, self.seed = grid, block, seed
        self._per_block = prod(block)
        self._order = np.arange(prod(grid))
        self._warps = np.arange(-(-self._per_block // 32))
        if seed is not None:
            rng = np.random.default_rng(seed)
            rng.shuffle(self._order)
            rng.shuffle(self._warps[: self._per_block // 32])
        self._most = max(1, self._most_blocks(sizes))
        if has_clocks:
            self._most = min(self._most, _CLOCK_BYTES // (CLOCK.itemsize * self._per_block**2))
        self._size = 1 if may_wait and seed is None else self._most
        self._next = 0
        self._waves: list[tuple[int, Threads]] = []

    def _most_blocks(self, sizes: PrivateSizes) -> int:
        shared = sum(sizes.shared.values())
        local = sum(sizes.local.values()) * self._per_block
        return min(
            _THREADS // self._per_block,
            _SHARED_BYTES // shared if shared else _THREADS,
            _LOCAL_BYTES // local if local else _THREADS,
        )

    def take(self) -> tuple[Threads, int] | None:
        """Return the next wave's threads, and the first one's number; None after the last wave."""
        blocks = self._order[self._next : self._next + self._size]
        if not len(blocks):
            return None
        first = self._next * self._per_block
        self._next += len(blocks)
        self._size = min(2 * self._size, self._most)
        threads = Threads(self._grid, self._block, blocks, self._warps)
        self._waves.append((first, threads))
        return threads, first

    @property
    def is_last(self) -> bool:
        """Whether no wave is left."""
        return self._next >= len(self._order)

    def indices_of(self, thread: int) -> tuple[Three, Three]:
        """Return ``blockIdx`` and ``threadIdx`` of a thread by its number in the launch."""
        first, threads = next(wave for wave in reversed(self._waves) if wave[0] <= thread)
        return threads.indices_of(thread - first)
