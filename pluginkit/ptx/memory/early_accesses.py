"""Report accesses that come before the end of an earlier launch, which accessed the same bytes."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.memory.machine_for_memory import MachineForMemory
from pluginkit.ptx.memory.memory_access import AccessPart, MemoryAccess
from pluginkit.ptx.memory.stores import used_bytes_of
from pluginkit.ptx.types import UNSIGNED, Array

_FIX = (
    "execute griddepcontrol.wait before (wait_for_earlier_launches()), and read through pointers "
    "that are not const and __restrict__, since the compiler moves loads of those above it"
)


class EarlyAccesses:
    """Checks the accesses of a launch that may begin before earlier ones have ended.

    Args:
        machine: the machine.
    """

    def __init__(self, machine: MachineForMemory) -> None:
        self._machine = machine

    def check_read(self, access: MemoryAccess, part: AccessPart) -> None:
        """Report reads of bytes that a launch wrote which may still run.

        Loads through the read-only cache are reported after the wait too: ptxas may move them.
        """
        bad = self._touched(access, part, is_write=False)
        if access.instruction.has("nc"):
            message = (
                "is read through the read-only cache (__ldg, or a pointer that is const and "
                "__restrict__) though an earlier launch, which this one overlaps, wrote these "
                "bytes; the compiler may move such a load above griddepcontrol.wait: read through "
                "a pointer that is not const and __restrict__"
            )
            self._report(access, part, bad, message)
            return
        self._report_running(
            access, part, bad, "is read before the launch waits for an earlier one, which wrote"
        )

    def check_write(self, access: MemoryAccess, part: AccessPart) -> None:
        """Report writes of bytes that a launch read or wrote which may still run."""
        bad = self._touched(access, part, is_write=True)
        self._report_running(
            access, part, bad,
            "is written before the launch waits for an earlier one, which read or wrote",
        )  # fmt: skip

    def _touched(self, access: MemoryAccess, part: AccessPart, *, is_write: bool) -> Array:
        """Return for each thread whether its bytes are those of an earlier launch."""
        touched, size = np.zeros(len(part.offsets), bool), access.dtype.itemsize
        if part.region.earlier is None:
            return touched
        view = part.region.earlier.view(UNSIGNED[size])
        for index in range(access.count):
            found = view[part.elements(index)]
            if not is_write:
                found = found & used_bytes_of(access.used_bytes, index, size)
            touched |= found != 0
        return touched

    def _report_running(
        self, access: MemoryAccess, part: AccessPart, bad: Array, message: str
    ) -> None:
        machine = self._machine
        if machine.earlier is None or not bad.any():
            return
        places = np.flatnonzero(bad)
        threads = part.ids[places] + machine.first_thread
        time = machine.tick(access.instruction)
        bad[places] = machine.earlier.may_run(threads, time, machine.order)
        self._report(access, part, bad, f"{message} these bytes; {_FIX}")

    def _report(self, access: MemoryAccess, part: AccessPart, bad: Array, message: str) -> None:
        if not bad.any():
            return
        name, offset = part.region.name, int(part.offsets[np.argmax(bad)])
        self._machine.report(
            "race", access.instruction, part.ids[bad], f"{name} {message}",
            buffer=name, offset=offset, address=part.region.base + offset,
        )  # fmt: skip
