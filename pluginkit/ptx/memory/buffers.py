"""Global memory: named buffers, which outlive a launch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.errors import KernelError
from pluginkit.ptx.memory.earlier_launches import EarlierLaunches
from pluginkit.ptx.memory.regions import SHARED_WINDOW, WINDOW_BITS, WINDOW_MIDDLE, Region, Role
from pluginkit.ptx.types import U8, Array


@dataclass(frozen=True)
class Pointer:
    """An address inside a buffer, as a kernel's argument."""

    buffer: Buffer
    offset: int = 0

    @property
    def address(self) -> int:
        """The number that the kernel gets."""
        return self.buffer.address + self.offset


Bytes = bytes  # the type; inside Buffer, a property has that name


class Buffer:
    """A named buffer in global memory; made by :meth:`Memory.buffer`."""

    def __init__(self, region: Region) -> None:
        self.region = region

    @property
    def name(self) -> str:
        """The name that findings use."""
        return self.region.name

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.region.nbytes

    @property
    def address(self) -> int:
        """The address of the first byte, a multiple of 256."""
        return self.region.base

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self, offset)

    @property
    def bytes(self) -> Array:
        """The content as uint8, as a view: writing to it changes the buffer."""
        return self.region.data[: self.nbytes]

    def array(self, dtype: Any, shape: tuple[int, ...] | None = None) -> Array:
        """Return a copy of the content as elements of ``dtype``."""
        flat = np.frombuffer(self.bytes.tobytes(), dtype)
        return flat.copy() if shape is None else flat.reshape(shape).copy()

    def unwritten(self) -> Array:
        """Return the offsets of the bytes that nothing has written, ascending; int64."""
        if self.region.written is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.region.written[: self.nbytes] == 0)

    def write(self, data: Bytes, start: int = 0) -> None:
        """Write bytes from ``start`` on."""
        self.region.data[start : start + len(data)] = np.frombuffer(data, U8)
        self._note_written(start, start + len(data))

    def poison(self, byte: int) -> None:
        """Set every byte to ``byte``, and mark them all as never written.

        The bytes of an input still count as written.
        """
        self.region.data[:] = byte
        if self.region.written is not None:
            self.region.written[:] = 0

    def _note_written(self, start: int, stop: int) -> None:
        if self.region.written is not None:
            self.region.written[start:stop] = 1

    def fill(self, byte: int, start: int = 0, stop: int | None = None) -> None:
        """Write one byte everywhere from ``start`` to ``stop``, as a memset does."""
        stop = self.nbytes if stop is None else stop
        self.region.data[start:stop] = byte
        self._note_written(start, stop)

    def copy_from(self, source: Buffer, nbytes: int, start: int = 0, source_start: int = 0) -> None:
        """Copy bytes, as a memcpy does. Copies of unwritten bytes count as unwritten too."""
        end, source_end = start + nbytes, source_start + nbytes
        self.region.data[start:end] = source.region.data[source_start:source_end]
        if self.region.written is not None:
            known = source.region.written
            self.region.written[start:end] = 1 if known is None else known[source_start:source_end]


class Memory:
    """The global memory of one or more launches.

    Attributes:
        buffers: by name.
        launches: how many there were.
    """

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.launches = 0
        self.regions: dict[int, Region] = {}
        self._parameters: Region | None = None
        self._overlapping: EarlierLaunches | None = None
        #: The variables of launched modules, by module and name.
        self.statics: dict[tuple[object, str], Region] = {}

    def buffer(
        self, name: str, content: Array | int, role: Role = "input", *, poison: int = 0xA5
    ) -> Buffer:
        """Add a buffer.

        Args:
            name: unique.
            content: an array whose bytes it holds at first, or its size in bytes.
            role: what it is for; see :data:`Role`.
            poison: the value of every byte of an output or a workspace at first.

        Errors:
            PK352: the name is taken, or the size is out of range.
        """
        if name in self.buffers:
            raise KernelError("PK352", f"buffer '{name}' is there already; expected a new name.")
        is_sized = isinstance(content, (int, np.integer))
        nbytes = int(content) if is_sized else int(np.asarray(content).nbytes)
        if not 0 <= nbytes < WINDOW_MIDDLE["global"]:
            raise KernelError(
                "PK352",
                f"buffer '{name}' has {nbytes} bytes; expected 0 to {WINDOW_MIDDLE['global']}.",
            )
        region = self.add(name, nbytes, role, is_written=role in ("input", "inout"))
        if not is_sized:
            region.data[:nbytes] = np.frombuffer(np.asarray(content).tobytes(), U8)
        else:
            region.data[:nbytes] = poison
        self.buffers[name] = Buffer(region)
        return self.buffers[name]

    def add(self, name: str, nbytes: int, role: Role, *, is_written: bool) -> Region:
        """Add a region in the next free window of addresses."""
        window = len(self.regions) + 1
        if window >= SHARED_WINDOW:
            raise KernelError("PK352", f"got {window} buffers; expected at most {window - 1}.")
        base = (window << WINDOW_BITS["global"]) + WINDOW_MIDDLE["global"]
        region = Region(name, "global", base, nbytes, 1, role, is_written=is_written)
        self.regions[window] = region
        return region

    def buffer_at(self, address: int) -> Pointer:
        """Return the buffer and offset of an address inside a buffer or at its end.

        Errors:
            PK352: the address is in no buffer.
        """
        for buffer in self.buffers.values():
            if 0 <= address - buffer.address <= buffer.nbytes:
                return buffer + (address - buffer.address)
        raise KernelError("PK352", f"{address:#x} is no address of a buffer; expected one.")

    def parameters(self) -> Region:
        """Return the region of kernel parameters, for kernels that take their addresses."""
        if self._parameters is None:
            self._parameters = self.add("the parameters", 4096, "static", is_written=True)
        return self._parameters

    def begin_launch(self, overlapping: EarlierLaunches | None) -> None:
        """Note that a launch begins: after all others on the stream, unless it overlaps them.

        Args:
            overlapping: which of its threads will have waited for the earlier launches; None if it
                begins after their end.
        """
        before, self._overlapping = self._overlapping, overlapping
        keeps_earlier = before is not None and not before.end_before_next
        for region in self.regions.values():
            region.begin_launch(overlaps=overlapping is not None, keeps_earlier=keeps_earlier)
