"""Decide which threads run next.

The threads whose next basic block has the lowest number run first, so that threads that diverged at
a branch converge after it. By that rule alone, threads that poll in a loop would never let the
thread run that they wait for. So threads that have polled for a while rest, and now and then the
threads with the highest number have a turn. Warps of ``delayed_warps`` run when no others can.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.machine.delayed_warps import DelayedWarps
from pluginkit.ptx.types import Array

#: After this many polls of all threads the polling group rests, for this many steps.
_POLLS_BEFORE_REST, _STEPS_OF_REST = 64, 256
#: How often the threads at the last basic block have a turn.
_STEPS_BETWEEN_LAST_BLOCKS = 512
#: How often delayed warps go on while others can run.
_STEPS_BETWEEN_RELEASES = 2048


class Scheduler:
    """The groups of threads that can run, by the basic block that they run next.

    Args:
        delayed_warps: the warps to delay before they signal others; None to delay none.
    """

    def __init__(self, delayed_warps: DelayedWarps | None = None) -> None:
        self._delayed_warps = delayed_warps
        self._ready: dict[int, list[Array]] = {}
        self._resting: dict[int, list[Array]] = {}
        self._parked: dict[int, list[Array]] = {}
        self._polls_before_rest, self._polls = _POLLS_BEFORE_REST, 0
        self._rest_until = self._steps = 0

    def push(self, number: int, ids: Array) -> None:
        """Add threads that run a basic block next."""
        if self._delayed_warps is not None and len(ids):
            ids = self._delayed_warps.hold(number, ids)
        if len(ids):
            self._ready.setdefault(number, []).append(ids)

    def park(self, number: int, ids: Array) -> None:
        """Let threads wait at a basic block until others come there."""
        if len(ids):
            self._parked.setdefault(number, []).append(ids)

    def unpark(self) -> None:
        """Let all parked threads run again: those that they waited for may have ended."""
        for number, groups in self._parked.items():
            self._ready.setdefault(number, []).extend(groups)
        self._parked.clear()

    @property
    def parked(self) -> dict[int, list[Array]]:
        """The threads that wait at each basic block."""
        return self._parked

    def rest(self, number: int, ids: Array) -> None:
        """Let threads rest that wait for a phase of an mbarrier, until :meth:`wake`.

        They try again after a while, since a copy that has ended counts only then.
        """
        if not self._resting:
            self._rest_until = self._steps + _STEPS_OF_REST
        self._resting.setdefault(number, []).append(ids)

    def wake(self) -> None:
        """Let all resting threads run again."""
        for number, groups in self._resting.items():
            self._ready.setdefault(number, []).extend(groups)
        self._resting.clear()

    def note_poll(self, number: int) -> None:
        """Note that threads return to the head of a loop in which they poll memory."""
        self._polls += 1
        if self._polls < self._polls_before_rest:
            return
        if len(self._ready) < 2 or number not in self._ready:
            return
        self._resting.setdefault(number, []).extend(self._ready.pop(number))
        self._polls_before_rest = max(2, self._polls_before_rest // 2)
        self._rest_until, self._polls = self._steps + _STEPS_OF_REST, 0

    @property
    def next_block(self) -> int | None:
        """The basic block that :meth:`take` would return, None if no thread can run."""
        return min(self._ready, default=None)

    def take(self) -> tuple[int, Array] | None:
        """Return the next basic block and the threads that run it, ascending; None if none can."""
        self._steps += 1
        if self._resting and (not self._ready or self._steps >= self._rest_until):
            self.wake()
        if self._delayed_warps and (not self._ready or self._steps % _STEPS_BETWEEN_RELEASES == 0):
            self.release_delayed_warps()
        if not self._ready:
            return None
        last = self._steps % _STEPS_BETWEEN_LAST_BLOCKS == 0
        number = max(self._ready) if last else min(self._ready)
        groups = self._ready.pop(number)
        groups += self._parked.pop(number, ())
        return number, groups[0] if len(groups) == 1 else np.sort(np.concatenate(groups))

    def after_barrier(self, ids: Array) -> None:
        """Note that threads have passed a barrier."""
        if self._delayed_warps is not None:
            self._delayed_warps.after_barrier(ids)

    def release_delayed_warps(self) -> None:
        """Let some delayed warps go on, since the others may wait for them."""
        if self._delayed_warps is not None:
            for number, groups in self._delayed_warps.release().items():
                self._ready.setdefault(number, []).extend(groups)
