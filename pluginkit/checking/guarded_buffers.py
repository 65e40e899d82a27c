"""Buffers between guards, which show what an enqueue wrote outside of its tensors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

import numpy as np

from pluginkit.checking.time_budget import Clock
from pluginkit.device.memory import TensorMemory

#: The guard's bytes before and after each buffer; a multiple of every alignment in CUDA.
GUARD = 512
#: Bytes that are tiny values other than 0 in every type, so that any addition changes them.
_TINY_BYTES = np.array([1, 2, 3, 4, 5, 6, 7, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87], np.uint8)


class TensorBuffer(Protocol):
    """The memory of a tensor or the workspace; it detects writes around it."""

    name: str
    nbytes: int
    pointer: int

    def write(self, data: bytes) -> None:
        """Write the whole content, and renew the guards."""

    def fill(self, byte: int) -> None:
        """Mark every byte as undefined, and set it to ``byte`` so that a read is noticed."""

    def read(self) -> bytes:
        """Return the content, once the stream has finished."""

    def damage(self) -> str | None:
        """Say where something wrote outside, or return None."""


class Device(Protocol):
    """The memory of buffers, and the stream that works on them."""

    stream: int

    def buffer(self, name: str, nbytes: int, *, is_input: bool = False) -> TensorBuffer:
        """Add a buffer; kernels may not write to that of an input."""

    def for_execution(self) -> Device:
        """Return the device for one execution's buffers."""

    def executing(self) -> AbstractContextManager[None]:
        """Return a context in which an enqueue works here."""

    def start_clock(self, seconds: float) -> Clock | None:
        """Raise OutOfTime in launches that outlast this time; None if the device has no limit."""


class GuardedDevice:
    """A GPU or the host, with guards around each buffer that detect writes outside.

    Args:
        memory: where the buffers are.
    """

    def __init__(self, memory: TensorMemory) -> None:
        self.memory = memory
        self.stream = memory.stream
        self._random = np.random.default_rng(0)

    def guard(self, *, is_tiny: bool) -> bytes:
        """Return random bytes, or the bytes of random tiny values."""
        if is_tiny:
            return bytes(self._random.choice(_TINY_BYTES, GUARD).tobytes())
        return self._random.bytes(GUARD)

    def buffer(self, name: str, nbytes: int, *, is_input: bool = False) -> GuardedBuffer:
        """Add a buffer between guards."""
        return GuardedBuffer(self, name, nbytes)

    def for_execution(self) -> Self:
        """Return this device, which executions share."""
        return self

    def executing(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()

    def start_clock(self, seconds: float) -> None:
        """Do nothing: kernels are fast here."""


class GuardedBuffer:
    """A buffer with guards before and after it.

    Each write renews them, so that copying another guard over one is detected. They alternate
    between tiny values, which every sum changes, and random bytes, which a minimum or maximum
    changes.
    """

    def __init__(self, device: GuardedDevice, name: str, nbytes: int) -> None:
        self._device = device
        self.name = name
        self.nbytes = nbytes
        self.buffer = device.memory.allocate(nbytes + 2 * GUARD)
        self.pointer = device.memory.pointer(self.buffer) + GUARD
        self._before = self._past = b""
        self._is_tiny = False

    def write(self, data: bytes) -> None:
        """Write the whole content, and renew the guards."""
        self._is_tiny = not self._is_tiny
        self._before = self._device.guard(is_tiny=self._is_tiny)
        self._past = self._device.guard(is_tiny=self._is_tiny)
        self._device.memory.write(self.buffer, self._before + data + self._past)

    def fill(self, byte: int) -> None:
        """Fill the buffer with one byte."""
        self.write(bytes([byte]) * self.nbytes)

    def read(self) -> bytes:
        """Return the content without the guards."""
        return self._device.memory.download(self.buffer)[GUARD : GUARD + self.nbytes]

    def damage(self) -> str | None:
        """Say where something wrote outside, or return None."""
        data = self._device.memory.download(self.buffer)
        before = _changed(data[:GUARD], self._before)
        if before:
            return f"wrote byte {GUARD - before[-1]} before the start of {self.name}"
        past = _changed(data[GUARD + self.nbytes :], self._past)
        return f"wrote byte {past[0] + 1} past the end of {self.name}" if past else None


def _changed(got: bytes, written: bytes) -> list[int]:
    return [index for index, (a, b) in enumerate(zip(got, written, strict=True)) if a != b]
