"""The state of an mbarrier, and in words who has arrived at it and who has not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pluginkit.ptx.memory.happens_before import Meeting
from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U64, Array

_VALID = 0xB << 60  # so that no usual number in memory is the state of an mbarrier
_MOST_RANGES = 4


@dataclass(frozen=True)
class Landing:
    """How asynchronous copies end that an mbarrier tracks.

    Attributes:
        land: makes the copies of some threads.
        ids: the threads.
        arrive: lets the copies arrive.
    """

    land: Callable[[Array], None]
    ids: Array
    arrive: Callable[[], None]


@dataclass(eq=False)
class Mbarrier:
    """An mbarrier that has been initialised.

    Attributes:
        region, element: where it lies.
        expected: how many arrivals each phase expects.
        meeting: what the threads publish that have arrived so far.
        pending: how many arrivals the current phase lacks.
        copying: how many announced bytes it lacks.
        phase: the number of the current phase.
        completed: what those have published that arrived in phases that are complete.
        arrived: the threads that have arrived in this phase, with the instruction.
        landings: what ends the asynchronous copies that it tracks, once somebody looks.
    """

    region: Region
    element: int
    expected: int
    meeting: Meeting
    pending: int = 0
    copying: int = 0
    phase: int = 0
    completed: Meeting = field(init=False)
    arrived: list[tuple[Array, Instruction]] = field(default_factory=list)
    landings: list[Landing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pending, self.completed = self.expected, self.meeting.copy()

    @property
    def word(self) -> int:
        """What shared memory holds."""
        return _VALID | self.phase % (1 << 20) << 40 | self.pending << 20 | self.expected

    @property
    def name(self) -> str:
        """The name that findings use."""
        offset = self.element * U64.itemsize % self.region.stride
        return f"mbarrier {self.region.name}" + (f"+{offset}" if self.region.nbytes > 8 else "")


def missing_arrivals(machine: MachineForMemory, found: Mbarrier) -> str:
    """Return the message for threads that wait for the current phase of an mbarrier in vain."""
    per_block = len(found.meeting.row)
    block = found.element * 8 // found.region.stride
    everyone = np.arange(block * per_block, (block + 1) * per_block)
    arrived = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in found.arrived)])
    came = found.expected - found.pending
    parts = [f"threads wait for phase {found.phase} of {found.name}, which never completes"]
    if found.pending:
        parts.append(f"{came} of {found.expected} arrivals came")
        if len(arrived):
            parts[-1] += f", from {threads_in_words(machine, arrived)}"
            absent = np.setdiff1d(everyone, arrived)
            if len(absent):
                parts.append(f"{threads_in_words(machine, absent)} of the block did not arrive")
    if found.copying > 0:
        parts.append(f"{found.copying} bytes that expect_tx announced were not copied")
    if found.copying < 0:
        parts.append(f"{-found.copying} bytes were copied that expect_tx did not announce")
    if not len(arrived) and found.phase:
        parts.append(
            f"phase {found.phase - 1} has completed: either the parity is wrong (phase k has the "
            "parity k % 2, counted from 0), or phases ran ahead, because who arrives does not wait "
            "until these threads have finished with the one before"
        )
    return "; ".join([": ".join(parts[:2]), *parts[2:]])


def threads_in_words(machine: MachineForMemory, ids: Array) -> str:
    """Return ``threads (0, 0, 0) to (31, 0, 0), (64, 0, 0)`` for threads of one block."""
    found = sorted(
        {machine.indices_of(int(each) + machine.first_thread)[1] for each in ids},
        key=lambda index: index[::-1],
    )
    ranges: list[list[tuple[int, int, int]]] = []
    for index in found:
        if ranges and ranges[-1][-1] == (index[0] - 1, *index[1:]):
            ranges[-1][1:] = [index]
        else:
            ranges.append([index])
    words = [" to ".join(map(str, each)) for each in ranges[:_MOST_RANGES]]
    more = ["and others"] if len(ranges) > _MOST_RANGES else []
    return f"thread{'s' if len(found) > 1 else ''} {', '.join([*words, *more])}"
