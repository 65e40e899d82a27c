"""Let the lanes of a warp diverge where only volatile accesses keep them in step."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from pluginkit.ptx.types import Array

_SPLITS = 256


class SplitWarps:
    """Runs basic blocks with volatile accesses for some lanes first, and then for the others.

    Lanes of a warp need not run in step since Volta. A reduction in volatile shared memory without
    __syncwarp has no race, and a wrong result then.

    Args:
        volatile_blocks: the basic blocks with a volatile access.
        seed: chooses the lanes.
    """

    def __init__(self, volatile_blocks: Collection[int], seed: int) -> None:
        self._volatile_blocks = volatile_blocks
        self._rng = np.random.default_rng((seed, 2))
        self._left = _SPLITS

    def split(self, number: int, ids: Array) -> tuple[Array, Array]:
        """Return the threads that run a basic block now, one at least, and those that wait."""
        if not self._left or number not in self._volatile_blocks or len(ids) < 2:
            return ids, ids[:0]
        self._left -= 1
        goes = self._rng.random(len(ids)) < 0.5
        goes[self._rng.integers(len(ids))] = True
        return ids[goes], ids[~goes]
