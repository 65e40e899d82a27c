"""Decide which threads run next.

The group whose block comes first runs, so that threads meet again after a branch. With that rule
alone, threads that wait in a loop for another one would never let it run. So threads that have
polled for a while have to rest, and from time to time the group that comes last has its turn. Some
warps may lag: they run when the others wait.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.machine.laggards import Laggards
from pluginkit.ptx.types import Array

_PATIENCE = 64
_REST = 256
_TURN_OF_THE_LAST = 512
_TURN_OF_LAGGARDS = 2048


class Schedule:
    """The groups of threads that can run, by the block that they run next.

    Args:
        laggards: warps that fall behind; None where all run alike.
    """

    def __init__(self, laggards: Laggards | None = None) -> None:
        self._laggards = laggards
        self._ready: dict[int, list[Array]] = {}
        self._resting: dict[int, list[Array]] = {}
        self._parked: dict[int, list[Array]] = {}
        self._patience, self._spins = _PATIENCE, 0
        self._rest_until = self._steps = 0

    def push(self, number: int, ids: Array) -> None:
        """Let threads run a block next."""
        if self._laggards is not None and len(ids):
            ids = self._laggards.hold(number, ids)
        if len(ids):
            self._ready.setdefault(number, []).append(ids)

    def park(self, number: int, ids: Array) -> None:
        """Let threads wait at a block until others come there."""
        if len(ids):
            self._parked.setdefault(number, []).append(ids)

    def unpark(self) -> None:
        """Let all that are parked look again, since threads have ended."""
        for number, groups in self._parked.items():
            self._ready.setdefault(number, []).extend(groups)
        self._parked.clear()

    @property
    def parked(self) -> dict[int, list[Array]]:
        """The threads that wait at each block."""
        return self._parked

    def spin(self, number: int) -> None:
        """Note that the group that comes to a block has polled in vain."""
        self._spins += 1
        if self._spins < self._patience:
            return
        if len(self._ready) < 2 or number not in self._ready:
            return
        self._resting.setdefault(number, []).extend(self._ready.pop(number))
        self._patience = max(2, self._patience // 2)
        self._rest_until, self._spins = self._steps + _REST, 0

    def take(self) -> tuple[int, Array] | None:
        """Return the next block and the threads that run it, ascending; None if none can."""
        self._steps += 1
        if self._resting and (not self._ready or self._steps >= self._rest_until):
            for number, groups in self._resting.items():
                self._ready.setdefault(number, []).extend(groups)
            self._resting.clear()
        if self._laggards and (not self._ready or self._steps % _TURN_OF_LAGGARDS == 0):
            self.release_laggards()
        if not self._ready:
            return None
        last = self._steps % _TURN_OF_THE_LAST == 0
        number = max(self._ready) if last else min(self._ready)
        groups = self._ready.pop(number)
        groups += self._parked.pop(number, ())
        return number, groups[0] if len(groups) == 1 else np.sort(np.concatenate(groups))

    def meet(self, ids: Array) -> None:
        """Threads met at a barrier."""
        if self._laggards is not None:
            self._laggards.meet(ids)

    def release_laggards(self) -> None:
        """Let some of those that lag behind go on: the others may wait for them."""
        if self._laggards is not None:
            for number, groups in self._laggards.release().items():
                self._ready.setdefault(number, []).extend(groups)
