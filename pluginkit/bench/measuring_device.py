"""Declare the interface of a device that measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pluginkit.bench.workload import TimedCall


class MeasuringDevice(Protocol):
    """A device that measures: a GPU, or a double for tests.

    Attributes:
        xp: the module of its arrays: cupy, or numpy for a double.
        stream: the ``cudaStream_t`` that all work goes on.
        l2_bytes: the size of the cache that buffer sets must exceed.
        method: how it takes times, in words.
    """

    xp: Any
    stream: int
    l2_bytes: int
    method: str

    def environment(self) -> dict[str, Any]:
        """Return the GPU, its driver, and versions."""

    def copy_bandwidth(self) -> float:
        """Return the bytes per second that a large copy reads and writes."""

    def driver_launch(self) -> tuple[float, str]:
        """Return the host microseconds of one ``cuLaunchKernel``, and what called it."""

    def device_times(self, calls: Sequence[TimedCall]) -> list[float]:
        """Return the microseconds of one call, for each pass over ``calls``."""

    def host_times(self, calls: Sequence[TimedCall]) -> list[float]:
        """Return the host microseconds of single calls; none where they are not measured."""

    def pointer(self, array: Any) -> int:
        """Return the address of an array's first element."""

    def copy(self, target: Any, array: Any) -> None:
        """Copy an array that a call returned into ``target``, uint8."""

    def synchronize(self) -> None:
        """Wait for all work."""

    def free(self) -> None:
        """Release cached memory."""
