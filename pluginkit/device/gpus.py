"""Ask the driver for this machine's GPUs; no CUDA package needs to be installed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as the driver calls it.
        compute_capability: major and minor.
        memory_bytes: its global memory.
    """

    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Driver:
    """The CUDA driver: the highest CUDA version that it supports, and its GPUs."""

    cuda_version: tuple[int, int]
    gpus: tuple[Gpu, ...]


def find_driver() -> Driver | None:
    """Return the CUDA driver with its GPUs, or None if there is no driver."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        count.value = 0
    gpus = tuple(_read_gpu(cuda, ordinal) for ordinal in range(count.value))
    return Driver((version.value // 1000, version.value % 1000 // 10), gpus)


def find_gpu() -> Gpu | None:
    """Return device 0, the GPU that TensorRT uses by default, or None."""
    driver = find_driver()
    return driver.gpus[0] if driver and driver.gpus else None


def _read_gpu(cuda: ctypes.CDLL, ordinal: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(device), ordinal)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device)
    return Gpu(name.value.decode(errors="replace"), (major.value, minor.value), memory.value)
