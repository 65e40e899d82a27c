"""Barriers of thread blocks: ``__syncthreads`` and named barriers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pluginkit.ptx.code.frame import Frame, broadcast
from pluginkit.ptx.effects.synchronisation import Barrier
from pluginkit.ptx.machine.live_threads import LiveThreads
from pluginkit.ptx.machine.registers import WaveRegisters
from pluginkit.ptx.machine.scheduler import Scheduler
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.memory.happens_before import HappensBefore, Meeting
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U32, Array


class MachineForBarriers(Protocol):
    """The part of a machine that barriers use.

    Attributes:
        threads: the threads of the wave.
        first_thread: the number in the launch of the first one.
        order: which access happens before which.
        scheduler: decides which threads run next.
        registers: the threads' registers.
        live: the threads that have not ended.
        progress: grows whenever something happens that a thread can wait for.
    """

    threads: Threads
    first_thread: int
    order: HappensBefore
    scheduler: Scheduler
    registers: WaveRegisters
    live: LiveThreads
    progress: int

    def tick(self, instruction: Instruction) -> int:
        """Advance the time by one, note which instruction runs then, and return the time."""

    def end(self, ids: Array) -> None:
        """End threads."""

    def report(
        self, kind: str, instruction: Instruction, ids: Array, message: str, **facts: Any
    ) -> None:
        """Note a finding at an instruction, for these threads of the wave."""


@dataclass
class _Arrival:
    """Threads that wait at a barrier, and the basic block that they run after it."""

    barrier: Barrier
    ids: Array
    following: int
    value: Array | None


class Barriers:
    """The threads that have arrived at each barrier."""

    def __init__(self, machine: MachineForBarriers) -> None:
        self._machine = machine
        self._waiting: dict[int, list[_Arrival]] = {}
        self._arrived: dict[int, Array] = {}
        self._expected: dict[int, Array] = {}
        #: What threads publish at barriers with a thread count, by number and block.
        self._meetings: dict[tuple[int, int], Meeting] = {}

    def arrive(self, barrier: Barrier, frame: Frame, following: int) -> None:
        """Let threads arrive at a barrier; if that completes it, release all that wait there."""
        value = None
        if barrier.value is not None:
            value = broadcast(barrier.value(frame), frame.size)
        number, everyone = barrier.number(frame), self._machine.registers.all_ids
        if frame.ids is everyone and barrier.is_for_block and not isinstance(number, np.ndarray):
            self._release([_Arrival(barrier, everyone, following, value)], int(number))
            return
        numbers, limit = broadcast(number, frame.size), None
        if barrier.threads is not None:
            limit = broadcast(barrier.threads(frame), frame.size)
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            self._arrive_at(
                int(number),
                _Arrival(barrier, frame.ids[places], following, _at(value, places)),
                _at(limit, places),
            )

    def _arrive_at(self, number: int, arrival: _Arrival, limit: Array | None) -> None:
        machine = self._machine
        blocks = machine.threads.block[arrival.ids]
        count = len(machine.threads.blocks)
        arrived = self._arrived.setdefault(number, np.zeros(count, np.int64))
        expected = self._expected.setdefault(number, np.zeros(count, np.int64))
        arrived += np.bincount(blocks, minlength=count)
        expected[blocks] = 0 if limit is None else limit
        if limit is not None:
            self._publish(number, arrival, blocks)
        if arrival.barrier.waits:
            self._waiting.setdefault(number, []).append(arrival)
        else:
            machine.scheduler.push(arrival.following, arrival.ids)
        self._complete(number)

    def _publish(self, number: int, arrival: _Arrival, blocks: Array) -> None:
        """Note what threads publish that arrive at a barrier of a part of their block."""
        machine = self._machine
        time, clocks = machine.tick(arrival.barrier.instruction), machine.order.clocks
        if clocks is None:
            return
        for block in np.unique(blocks).tolist():
            meeting = self._meetings.setdefault((number, block), Meeting(clocks.new_row()))
            machine.order.arrive(arrival.ids[blocks == block] + machine.first_thread, time, meeting)

    def recheck(self) -> None:
        """Complete the barriers that lacked only threads that have now ended."""
        for number in list(self._waiting):
            self._complete(number)

    def _complete(self, number: int) -> None:
        machine = self._machine
        arrived, expected = self._arrived[number], self._expected[number]
        needed = np.where(expected > 0, expected, machine.live.of_block)
        is_complete = (arrived > 0) & (arrived >= needed)
        if not is_complete.any():
            return
        self._report_ended(number, is_complete & (expected == 0))
        arrived[is_complete] = 0
        released, kept = [], []
        for arrival in self._waiting.pop(number, []):
            goes = is_complete[machine.threads.block[arrival.ids]]
            if goes.all():
                released.append(arrival)
                continue
            if goes.any():
                released.append(_part(arrival, goes))
            kept.append(_part(arrival, ~goes))
        if kept:
            self._waiting[number] = kept
        if released:
            self._release(released, number)
        for block in np.flatnonzero(is_complete).tolist():
            self._meetings.pop((number, block), None)

    def _release(self, released: list[_Arrival], number: int) -> None:
        machine = self._machine
        time = machine.tick(released[0].barrier.instruction)
        everyone = np.concatenate([arrival.ids for arrival in released])
        if released[0].barrier.threads is None:
            machine.order.barrier(everyone + machine.first_thread, time)
        else:
            self._wait(number, everyone, time)
        machine.progress += 1
        self._report_mixed(released)
        self._reduce(released)
        machine.scheduler.after_barrier(everyone)
        for arrival in released:
            machine.scheduler.push(arrival.following, arrival.ids)

    def _wait(self, number: int, everyone: Array, time: int) -> None:
        """Let threads rely on those that they waited for at a barrier of a part of their block."""
        machine = self._machine
        blocks = machine.threads.block[everyone]
        for block in np.unique(blocks).tolist():
            meeting = self._meetings.get((number, block))
            if meeting is not None:
                ids = everyone[blocks == block] + machine.first_thread
                machine.order.wait(ids, time, meeting)

    def _reduce(self, released: list[_Arrival]) -> None:
        """Give every thread the reduction of its block's predicates."""
        machine = self._machine
        count = len(machine.threads.blocks)
        total, met = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for arrival in released:
            if arrival.value is not None:
                blocks = machine.threads.block[arrival.ids]
                total += np.bincount(blocks, arrival.value, count).astype(np.int64)
                met += np.bincount(blocks, minlength=count)
        for arrival in released:
            barrier = arrival.barrier
            if barrier.reduction is None or barrier.put is None:
                continue
            blocks = machine.threads.block[arrival.ids]
            result: Any = {
                "popc": total[blocks].astype(U32),
                "and": total[blocks] == met[blocks],
                "or": total[blocks] > 0,
            }[barrier.reduction]
            machine.registers.set(barrier.put, arrival.ids, result)

    def _report_ended(self, number: int, is_complete: Array) -> None:
        """Report a barrier that some lanes of a warp never reach because they have ended.

        A warp that has ended as a whole counts as arrived on the hardware, and kernels rely on it.
        """
        machine = self._machine
        is_short = is_complete & (machine.live.of_block < machine.threads.per_block)
        if not is_short.any():
            return
        is_short &= machine.live.blocks_with_partial_warps()
        for arrival in self._waiting.get(number, ()):
            there = is_short[machine.threads.block[arrival.ids]]
            if there.any():
                machine.report(
                    "barrier", arrival.barrier.instruction, arrival.ids[there],
                    "threads wait at a barrier that others of their warp end without reaching.",
                )  # fmt: skip
                return

    def _report_mixed(self, released: list[_Arrival]) -> None:
        """Report threads that complete one barrier from different lines of the source.

        At a barrier with a thread count, only the threads of one warp must be at the same line.
        """
        if len({_place(arrival) for arrival in released}) < 2:
            return
        threads = self._machine.threads
        groups = threads.block if released[0].barrier.threads is None else threads.warp
        first: dict[int, _Arrival] = {}
        for arrival in released:
            for group in np.unique(groups[arrival.ids]).tolist():
                other = first.setdefault(group, arrival)
                if _place(other) != _place(arrival):
                    self._machine.report(
                        "barrier", arrival.barrier.instruction,
                        arrival.ids[groups[arrival.ids] == group],
                        "threads wait at this barrier while others of their block wait at another "
                        "one.",
                        other=other.barrier.instruction,
                    )  # fmt: skip
                    return

    def end_waiting(self) -> bool:
        """Report and end all threads that wait at barriers; False if there are none.

        No other thread can run, so that nobody would release them.
        """
        if not self._waiting:
            return False
        machine = self._machine
        for number, arrivals in list(self._waiting.items()):
            ids = np.sort(np.concatenate([arrival.ids for arrival in arrivals]))
            block = machine.threads.block[ids[0]]
            expected, arrived = self._expected[number][block], self._arrived[number][block]
            counts = f"; it expects {expected} threads, and {arrived} arrived" if expected else ""
            machine.report(
                "barrier", arrivals[0].barrier.instruction, ids,
                f"threads wait at barrier {number}, which others of their block never reach"
                f"{counts}.",
            )  # fmt: skip
        waiting, self._waiting = self._waiting, {}
        for arrivals in waiting.values():
            for arrival in arrivals:
                machine.end(arrival.ids)
        return True


def _place(arrival: _Arrival) -> tuple[int, ...] | None:
    location = arrival.barrier.instruction.location
    return None if location is None else location.place


def _at(values: Array | None, places: Array) -> Array | None:
    return None if values is None else values[places]


def _part(arrival: _Arrival, chosen: Array) -> _Arrival:
    value = None if arrival.value is None else arrival.value[chosen]
    return _Arrival(arrival.barrier, arrival.ids[chosen], arrival.following, value)
