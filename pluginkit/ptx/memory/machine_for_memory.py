"""The part of a machine that memory and its checks use, as a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pluginkit.ptx.memory.earlier_launches import EarlierLaunches
from pluginkit.ptx.memory.happens_before import HappensBefore
from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array, Three


class MachineForMemory(Protocol):
    """The part of a machine that memory uses: its time, its order and its findings.

    Attributes:
        order: which access happens before which.
        earlier: which threads have waited for earlier launches; None if these have ended.
        first_thread: the number in the launch of the wave's first thread.
        progress: grows whenever something happens that a thread can wait for.
    """

    order: HappensBefore
    earlier: EarlierLaunches | None
    first_thread: int
    progress: int

    def regions(self, space: str) -> Mapping[int, Region]:
        """Return the region of each window of a state space."""

    def block_of(self, ids: Array) -> Array:
        """Return the position in the wave of each thread's block."""

    def tick(self, instruction: Instruction) -> int:
        """Advance the time by one, note which instruction runs then, and return the time."""

    def instruction_at(self, time: int) -> Instruction:
        """Return the instruction that ran at a time."""

    def indices_of(self, thread: int) -> tuple[Three, Three]:
        """Return ``blockIdx`` and ``threadIdx`` of a thread by its number in the launch."""

    def report(
        self,
        kind: str,
        instruction: Instruction,
        ids: Array,
        message: str,
        *,
        buffer: str | None = None,
        offset: int | None = None,
        address: int | None = None,
        other: Instruction | None = None,
    ) -> None:
        """Note a finding at an instruction, for these threads of the wave."""
