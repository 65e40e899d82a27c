"""The PTX machine as a device of the checks, where there is no GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager

from pluginkit.checking.time_budget import Clock
from pluginkit.device.ptx_device import PtxDevice


class MachineDevice(PtxDevice):
    """The machine, with a clock that its launches stop at.

    Args:
        has_time_limit: whether checks have seconds here, or wait.
    """

    stream = 0

    def __init__(self, *, has_time_limit: bool, seed: int | None = None) -> None:
        super().__init__(self._left, seed=seed)
        self._has_time_limit = has_time_limit
        self._clock: Clock | None = None

    def start_clock(self, seconds: float) -> Clock | None:
        """Stop launches that take longer than this from now on."""
        self._clock = Clock(seconds) if self._has_time_limit else None
        return self._clock

    def for_execution(self, seed: int | None = None) -> MachineDevice:
        """A device with the same clock and no buffers yet."""
        other = MachineDevice(has_time_limit=self._has_time_limit, seed=seed)
        other._clock = self._clock
        return other

    def executing(self) -> AbstractContextManager[None]:
        """A context in which enqueues work here."""
        return self.working()

    def _left(self) -> float | None:
        return None if self._clock is None else self._clock.left
