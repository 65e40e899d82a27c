"""Measure the least that a launch costs the host: a ``cuLaunchKernel`` with everything prepared."""

from __future__ import annotations

import ctypes
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pluginkit.bench.measuring_device import MeasuringDevice
from pluginkit.bench.workload import TimedCall
from pluginkit.kernels.cuda_packages import need

_C_LOOP = r"""
#include <time.h>
typedef unsigned U;
typedef int (*Launch)(void*, U, U, U, U, U, U, U, void*, void**, void**);
static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
int time_launches(Launch launch, void* function, void* stream, void** params, int count,
                  long long* nanoseconds) {
    for (int i = 0; i < count; ++i) {
        long long began = now();
        int status = launch(function, 1, 1, 1, 32, 1, 1, 0, stream, params, 0);
        nanoseconds[i] = now() - began;
        if (status) return status;
    }
    return 0;
}
"""
_TINY = 'extern "C" __global__ void tiny(const void*, const void*, const void*, void*, int) {}'
_BATCHES, _LAUNCHES = 12, 32


def driver_launch_us(device: MeasuringDevice) -> tuple[float, str]:
    """Return the median host microseconds of launching one warp with five arguments.

    Returns:
        the time, and what called the driver: a C loop where a C compiler is at hand, else Python.
    """
    kernel = need("cupy").RawKernel(_TINY, "tiny")
    with prepared_launch(kernel.kernel.ptr, device.stream) as (arguments, call):
        library = _c_loop()
        if library is None:
            return statistics.median(device.host_times([call])), "cuda.bindings"
        return _by_c_loop(library, device, arguments), "C loop"


@contextmanager
def prepared_launch(function: int, stream: int) -> Iterator[tuple[tuple[int, int, int], TimedCall]]:
    """Prepare one warp of a kernel of four pointers and an int, through cuda.bindings.

    Yields:
        the CUfunction, the stream and the address of the parameters' addresses; and the call.
    """
    driver = need("cuda.bindings.driver")
    values = (ctypes.c_uint64 * 5)()
    addresses = (ctypes.c_void_p * 5)(*(ctypes.addressof(values) + 8 * n for n in range(5)))
    params, handle = ctypes.addressof(addresses), driver.CUfunction(function)
    launch = driver.cuLaunchKernel
    yield (
        (function, stream, params),
        lambda: launch(handle, 1, 1, 1, 32, 1, 1, 0, stream, params, 0),
    )


def _by_c_loop(library: Any, device: MeasuringDevice, arguments: tuple[int, int, int]) -> float:
    launch = ctypes.cast(ctypes.CDLL("libcuda.so.1").cuLaunchKernel, ctypes.c_void_p)
    function, stream, params = map(ctypes.c_void_p, arguments)
    times = (ctypes.c_longlong * _LAUNCHES)()
    found: list[int] = []
    for _ in range(_BATCHES):
        device.synchronize()
        status = library.time_launches(launch, function, stream, params, _LAUNCHES, times)
        if status:
            raise RuntimeError(f"cuLaunchKernel returned {status}")
        found += times
    device.synchronize()
    return statistics.median(found) * 1e-3


@cache
def _c_loop() -> Any:
    """Compile the C loop; return None if there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "loop.c"), Path(folder, "loop.so")
        source.write_text(_C_LOOP, encoding="utf-8")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  # the compiler found on PATH
        return ctypes.CDLL(str(library)) if done.returncode == 0 else None
