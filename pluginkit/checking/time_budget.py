"""Limit the time of checks on the PTX machine, where kernels are slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pluginkit.checking.outcomes import Failure, NotRun, OutOfTime, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall
from pluginkit.kernels.ptx_code import seconds_compiling
from pluginkit.quantities import counted

#: The seconds of each check on the PTX machine, without compilation; about 20 for all together.
SHARES = {
    "sanitizer": 3.7,
    "sanitizer, other orders": 1.5,
    "kernel_types": 2.9,
    "kernel_sizes": 1.5,
    "kernel_empty": 0.8,
    "kernel_nan_inf": 1.2,
    "kernel_overflow": 0.3,
    "kernel_integers": 0.4,
    "kernel_attributes": 0.6,
    "canaries": 0.5,
    "poisoned_outputs": 1.2,
    "kernel_in_place": 0.8,
    "two_shapes": 0.8,
    "two_contexts": 0.8,
    "clone_independence": 0.6,
    "determinism": 0.8,
    "batch_permutation": 0.5,
}


class Clock:
    """Counts down from ``seconds`` of CPU time; compilation does not count.

    So a check runs as much on a busy machine as on an idle one.
    """

    def __init__(self, seconds: float) -> None:
        self._end = self._now() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - self._now()

    @staticmethod
    def _now() -> float:
        return time.process_time() - seconds_compiling()


class Timed(Protocol):
    """A device whose time may be limited."""

    def start_clock(self, seconds: float) -> Clock | None:
        """Raise OutOfTime in launches that outlast this time; None if the device has no limit."""


@dataclass
class CallTally:
    """How many calls were run and left out, and why one that had most of the time did not end."""

    run: int = 0
    left_out: int = 0
    late: OutOfTime | None = None

    def __str__(self) -> str:
        done = counted(self.run, "call")
        if not self.left_out:
            return done
        why = "" if self.late is None else f": {self.late}"
        return f"{done}; not run: {self.left_out} more, for time (--sanitize runs them){why}"


def run_affordable(
    device: Timed, sequence: Iterable[PluginCall], body: Callable[[PluginCall], None], share: str
) -> CallTally:
    """Run ``body`` on every call, or as many as the time allows, small ones first.

    Args:
        device: where the kernels run.
        sequence: the calls.
        body: called with each.
        share: the check whose share of the time this may take.

    Errors:
        NotRun: there is no call, or time for none.  Failure: the body raised something.
    """
    waiting = list(sequence)  # before the clock starts: what makes the calls may import much
    clock = device.start_clock(SHARES[share])
    if clock is not None:
        waiting.sort(key=lambda call: sum(array.size for array in call.arrays))
    tally = CallTally()
    for call in waiting:
        if clock is not None and clock.left <= 0:
            tally.left_out += 1
            continue
        had_most = clock is None or clock.left > SHARES[share] / 2
        late = _too_late(body, call)
        if late is None:
            tally.run += 1
        else:
            tally.left_out += 1
            tally.late = late if had_most else tally.late
    if tally.left_out and not tally.run:
        why = "" if tally.late is None else f" {tally.late}"
        raise NotRun(f"more than the {SHARES[share]} s that it has here: --sanitize waits.{why}")
    if not tally.run:
        raise NotRun("a case of that kind")
    return tally


def _too_late(body: Callable[[PluginCall], None], call: PluginCall) -> OutOfTime | None:
    """Run the body, and return why it did not end in time, or None."""
    try:
        body(call)
    except OutOfTime as late:
        return late
    except (Failure, NotRun):
        raise
    except Exception as error:  # the author's methods may raise anything
        outcome = outcome_of(error, call.label, call.case)
        if isinstance(outcome, OutOfTime):
            return outcome
        raise outcome from error
    return None
