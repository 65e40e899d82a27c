"""Measure on a GPU: copy bandwidth, device time of queued calls, host time of single calls."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluginkit.bench.bench_report import installed_versions
from pluginkit.bench.launch_limit import driver_launch_us
from pluginkit.bench.workload import TimedCall
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.load import current_device

_METHOD = (
    "device time: CUDA events around one pass over the buffer sets, queued behind a spinning "
    "kernel so that no host time shows, divided by the sets; the median of {0.most} passes, or of "
    "as many as fit into {0.seconds} s, at least {0.fewest}. Buffer sets rotate and together "
    "exceed the L2 cache four times, up to 64 of them, of at most four draws; a pass goes over "
    "them again until it has {1} calls, where a call takes less than {2:.0f} us. Outputs that a "
    "peer allocates are kept until the end of a pass, so that they rotate as well."
)
_OF_THE_HOST = " Host time: perf_counter around single calls on an idle stream, the median."
_IN_TURNS = " Other benchmarks ran beside this one; their timed passes took turns."
_SPIN = r"""
extern "C" __global__ void spin(unsigned long long nanoseconds) {
    unsigned long long begin, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); while (now - begin < nanoseconds);
}
"""
_BATCHES, _CALLS = 12, 32
#: After this many seconds no further batch starts.
_SECONDS = 0.3
_COPY_BYTES = 2**30
#: A pass has so many calls at least, of such as take less than these seconds: the two events that
#: it is timed by take as long as one.
_LEAST_CALLS, _SHORT = 16, 1e-4


@dataclass(frozen=True)
class Passes:
    """How thoroughly a GPU measures.

    Attributes:
        most, fewest: the passes over the buffer sets.
        seconds: after these no further pass starts, once there are the fewest.
        warm_ups: the passes before the first one that is timed.
        longest: the seconds of a pass, which leaves out calls of work that takes long.
        has_host_times: whether the host's time is measured, too.
    """

    most: int = 25
    fewest: int = 7
    seconds: float = 0.3
    warm_ups: int = 2
    longest: float = math.inf
    has_host_times: bool = True


FULL = Passes()


class GpuTimer:
    """The current GPU; see :class:`pluginkit.bench.measuring_device.MeasuringDevice`.

    Args:
        turns: a file that other processes name, too: only one of them times something at once, so
            that several can draw inputs, compile and compare beside each other.
        passes: how thoroughly it measures.

    Errors:
        PK310, PK311: no CUDA packages, or no GPU.
    """

    def __init__(self, turns: Path | None = None, passes: Passes = FULL) -> None:
        host = _OF_THE_HOST if passes.has_host_times else ""
        self.method = (
            _METHOD.format(passes, _LEAST_CALLS, _SHORT * 1e6) + host + (_IN_TURNS if turns else "")
        )
        self._turns = turns
        self._passes = passes
        self._ordinal = current_device()
        self.xp = need("cupy")
        self._stream = self.xp.cuda.Stream(non_blocking=True)
        self.stream = int(self._stream.ptr)
        self._properties = self.xp.cuda.runtime.getDeviceProperties(self._ordinal)
        self.l2_bytes = int(self._properties["l2CacheSize"])
        self._spin = self.xp.RawKernel(_SPIN, "spin")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the stream cupy's current one in the body."""
        with self._stream:
            yield

    def environment(self) -> dict[str, Any]:
        """Return the GPU, its driver, and versions."""
        runtime = self.xp.cuda.runtime
        return {
            "gpu": self._properties["name"].decode(),
            "compute_capability": f"{self._properties['major']}.{self._properties['minor']}",
            "l2_bytes": self.l2_bytes,
            "multiprocessors": self._properties["multiProcessorCount"],
            "driver": _driver_version(),
            "cuda_driver": _cuda_version(runtime.driverGetVersion()),
            "cuda_runtime": _cuda_version(runtime.runtimeGetVersion()),
            "nvrtc": ".".join(map(str, need("cuda.bindings.nvrtc").nvrtcVersion()[1:])),
            "versions": installed_versions(),
        }

    def copy_bandwidth(self) -> float:
        """Return the bytes per second that a copy of 1 GiB reads and writes."""
        source = self.xp.full(_COPY_BYTES, 0x5A, self.xp.uint8)
        target = self.xp.empty_like(source)
        copy, to, where = self.xp.cuda.runtime.memcpyAsync, target.data.ptr, source.data.ptr
        kind = self.xp.cuda.runtime.memcpyDeviceToDevice
        times = self.device_times([lambda: copy(to, where, _COPY_BYTES, kind, self.stream)])
        return 2 * _COPY_BYTES / (statistics.median(times) * 1e-6)

    def driver_launch(self) -> tuple[float, str]:
        """Return the host microseconds of one ``cuLaunchKernel``, and what called it."""
        return driver_launch_us(self)

    def device_times(self, calls: Sequence[TimedCall]) -> list[float]:
        """Return the microseconds of one call, for each pass over ``calls``."""
        with turn(self._turns), self.current():  # which the events are recorded on
            return self._device_times(calls)

    def _pass_of(self, calls: Sequence[TimedCall]) -> list[TimedCall]:
        """Return the calls of a pass: some of them, or all, or all again, judged by the first."""
        taken = []
        for _ in range(2):  # of which the first one may load a kernel
            self.synchronize()
            began = time.perf_counter()
            calls[0]()
            self.synchronize()
            taken.append(time.perf_counter() - began)
        again = math.ceil(_LEAST_CALLS / len(calls)) if min(taken) < _SHORT else 1
        fitting = max(1, min(self._passes.longest / min(taken), len(calls) * again))
        return ([*calls] * again)[: int(fitting)]

    def _device_times(self, calls: Sequence[TimedCall]) -> list[float]:
        calls = self._pass_of(calls)
        event = self.xp.cuda.Event
        host_seconds = 0.0
        for _ in range(self._passes.warm_ups):
            self.synchronize()
            began = time.perf_counter()
            kept = [call() for call in calls]
            host_seconds = time.perf_counter() - began
            kept.clear()
        times: list[float] = []
        latest = time.perf_counter() + self._passes.seconds
        while len(times) < self._passes.most:
            if len(times) >= self._passes.fewest and time.perf_counter() > latest:
                break
            self.synchronize()
            first, last = event(), event()
            # The queue fills while the device spins, so that it never waits for the host. A peer's
            # outputs are kept: the next call would get their memory, which is in the cache.
            self._spin((1,), (1,), (self.xp.uint64(host_seconds * 1.5e9 + 20_000),))
            first.record()
            kept = [call() for call in calls]
            last.record()
            last.synchronize()
            kept.clear()
            times.append(self.xp.cuda.get_elapsed_time(first, last) * 1e3 / len(calls))
        return times

    def host_times(self, calls: Sequence[TimedCall]) -> list[float]:
        """Return the host microseconds of single calls; none where they are not measured."""
        if not self._passes.has_host_times:
            return []
        with turn(self._turns):
            return host_times(calls, self.synchronize)

    def pointer(self, array: Any) -> int:
        """Return the address of an array's first element."""
        return int(array.data_ptr() if hasattr(array, "data_ptr") else array.data.ptr)

    def copy(self, target: Any, array: Any) -> None:
        """Copy an array that a call returned into ``target``, uint8."""
        kind = self.xp.cuda.runtime.memcpyDeviceToDevice
        self.xp.cuda.runtime.memcpyAsync(
            target.data.ptr, self.pointer(array), target.nbytes, kind, self.stream
        )

    def synchronize(self) -> None:
        """Wait for all work."""
        self.xp.cuda.runtime.deviceSynchronize()

    def free(self) -> None:
        """Release cached memory."""
        self.synchronize()
        self.xp.get_default_memory_pool().free_all_blocks()


@contextmanager
def turn(file: Path | None) -> Iterator[None]:
    """Wait until no other process, or thread, has the turn that ``file`` stands for; have it."""
    if file is None:
        yield
        return
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # closing the file gives it up
        yield


def host_times(calls: Sequence[TimedCall], synchronize: TimedCall) -> list[float]:
    """Return the host microseconds of single calls, in batches that fit into the queue.

    Batches end after 12, or after 0.3 s: each waits for the device's work of the one before.
    """
    clock, times = time.perf_counter_ns, []
    was_enabled = gc.isenabled()
    gc.disable()
    latest = time.perf_counter() + _SECONDS
    try:
        for batch in range(_BATCHES):
            synchronize()
            if batch and time.perf_counter() > latest:
                break
            for number in range(_CALLS):
                call = calls[number % len(calls)]
                began = clock()
                call()
                times.append((clock() - began) * 1e-3)
    finally:
        synchronize()
        if was_enabled:
            gc.enable()
    return times


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _driver_version() -> str:
    """Return the driver's version, which only NVML reports."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "unknown"
    text = ctypes.create_string_buffer(80)
    nvml.nvmlInit_v2()
    status = nvml.nvmlSystemGetDriverVersion(text, len(text))
    nvml.nvmlShutdown()
    return text.value.decode() if status == 0 else "unknown"
