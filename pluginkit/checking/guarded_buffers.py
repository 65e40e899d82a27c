"""Memory for tensors, on a GPU or in host memory; guards tell what was written outside."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, Self

from pluginkit.checking.time_budget import Clock

#: Bytes before and after each buffer; a multiple of every alignment that CUDA promises.
GUARD = 512
_GUARD_BYTE = 0x5C


class Buffer(Protocol):
    """The memory of one tensor, or the workspace, and what is known of its surroundings."""

    name: str
    nbytes: int
    pointer: int

    def write(self, data: bytes) -> None:
        """Give it this content, and renew the guards."""

    def fill(self, byte: int) -> None:
        """Leave every byte undefined, and set it to ``byte`` so that reading it shows."""

    def read(self) -> bytes:
        """Return the content, once the stream has finished."""

    def damage(self) -> str | None:
        """Say where something wrote outside, or return None."""


class Device(Protocol):
    """Where buffers are, and the stream that works on them."""

    stream: int

    def buffer(self, name: str, nbytes: int, *, is_input: bool = False) -> Buffer:
        """Add a buffer; kernels may not write to an input's."""

    def for_execution(self) -> Device:
        """Return the device for one execution's buffers."""

    def executing(self) -> AbstractContextManager[None]:
        """Return a context in which an enqueue works here."""

    def start_clock(self, seconds: float) -> Clock | None:
        """Stop what takes longer than this from now on, with OutOfTime; None: it waits."""


class GuardedDevice:
    """Memory with addresses of its own, where guards tell what was written outside."""

    def buffer(self, name: str, nbytes: int, *, is_input: bool = False) -> Guarded:
        """Add a buffer between guards."""
        return Guarded(self, name, nbytes)

    def for_execution(self) -> Self:
        """Return this one."""
        return self

    def executing(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()

    def start_clock(self, seconds: float) -> None:
        """Do nothing: kernels are fast here."""

    def allocate(self, nbytes: int) -> Any:
        """Memory."""
        raise NotImplementedError

    def pointer(self, memory: Any) -> int:
        """Return its address."""
        raise NotImplementedError

    def write(self, memory: Any, data: bytes) -> None:
        """Fill it, done on return."""
        raise NotImplementedError

    def read(self, memory: Any) -> bytes:
        """Return its content, once the stream has finished."""
        raise NotImplementedError


class HostDevice(GuardedDevice):
    """Host memory, for plugins whose ``enqueue`` works there."""

    stream = 0

    def allocate(self, nbytes: int) -> Any:
        import numpy as np

        return np.empty(nbytes, np.uint8)

    def pointer(self, memory: Any) -> int:
        return int(memory.ctypes.data)

    def write(self, memory: Any, data: bytes) -> None:
        import numpy as np

        memory[:] = np.frombuffer(data, np.uint8)

    def read(self, memory: Any) -> bytes:
        return bytes(memory.tobytes())


class CudaDevice(GuardedDevice):
    """The current GPU, with a non-blocking stream of its own."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.queue = cupy.cuda.Stream(non_blocking=True)
        self.stream = int(self.queue.ptr)

    def allocate(self, nbytes: int) -> Any:
        return self.cupy.empty(nbytes, self.cupy.uint8)

    def pointer(self, memory: Any) -> int:
        return int(memory.data.ptr)

    def write(self, memory: Any, data: bytes) -> None:
        import numpy as np

        memory.set(np.frombuffer(data, np.uint8))
        self.cupy.cuda.Device().synchronize()

    def read(self, memory: Any) -> bytes:
        self.queue.synchronize()
        return bytes(memory.get().tobytes())


class Guarded:
    """A buffer with guards before and after it."""

    def __init__(self, device: GuardedDevice, name: str, nbytes: int) -> None:
        self._device = device
        self.name = name
        self.nbytes = nbytes
        self.buffer = device.allocate(nbytes + 2 * GUARD)
        self.pointer = device.pointer(self.buffer) + GUARD

    def write(self, data: bytes) -> None:
        """Give it this content, and renew the guards."""
        guard = bytes([_GUARD_BYTE]) * GUARD
        self._device.write(self.buffer, guard + data + guard)

    def fill(self, byte: int) -> None:
        """Fill the buffer with one byte."""
        self.write(bytes([byte]) * self.nbytes)

    def read(self) -> bytes:
        """Return the content without the guards."""
        return self._device.read(self.buffer)[GUARD : GUARD + self.nbytes]

    def damage(self) -> str | None:
        """Say where something wrote outside, or return None."""
        data = self._device.read(self.buffer)
        for side, guard in (("before", data[:GUARD]), ("past", data[GUARD + self.nbytes :])):
            places = [index for index, byte in enumerate(guard) if byte != _GUARD_BYTE]
            if places:
                distance = GUARD - places[-1] if side == "before" else places[0] + 1
                what = f"byte {distance} {side} the end" if side == "past" else None
                return f"wrote {what or f'byte {distance} before the start'} of {self.name}"
        return None
