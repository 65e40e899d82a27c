"""Memory as buffers, each in an address window of its own.

Windows are far wider than buffers, so that an address says which buffer it was made from even when
it lies gigabytes outside. Shared and local memory have their own, smaller windows; in generic
addresses they lie apart from all global ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pluginkit.errors import KernelError
from pluginkit.ptx.races import Shadow
from pluginkit.ptx.types import U8, UNSIGNED, Array

#: What a buffer is for. ``input``: read only, all written. ``output`` and ``workspace``: nothing
#: is written yet. ``inout``: written, and may be written again. ``static``: a variable of the PTX.
Role = Literal["input", "output", "workspace", "inout", "static"]

#: log2 of a window's bytes in each space.
WINDOW_BITS = {"global": 36, "shared": 20, "local": 24}
_MIDDLE = {"global": 1 << 35, "shared": 1 << 18, "local": 1 << 22}
#: Generic windows of the other two spaces.
SHARED_WINDOW, LOCAL_WINDOW = 0x700, 0x701
GENERIC_BASE = {
    "shared": SHARED_WINDOW << WINDOW_BITS["global"],
    "local": LOCAL_WINDOW << WINDOW_BITS["global"],
}

_PADDING = 256  # allocations are padded: an atomic may cover a word that begins in a buffer


class Region:
    """Bytes that belong together: a buffer, or a variable of each block or thread.

    Args:
        name: how findings call it.
        space: ``global``, ``shared`` or ``local``.
        base: its address in that space.
        nbytes: its size.
        owners: how many blocks or threads have one each; 1 for global memory.
        role: what it is for.

    Attributes:
        stride: bytes from one owner's to the next one's.
        data: all bytes.
        written: for each byte 1 once something wrote it; None where all is written.
        shadow: who accessed it, for races; None where nobody can race.
    """

    def __init__(
        self,
        name: str,
        space: str,
        base: int,
        nbytes: int,
        owners: int = 1,
        role: Role = "workspace",
        *,
        is_written: bool = False,
    ) -> None:
        self.name, self.space, self.base, self.nbytes = name, space, base, nbytes
        self.role: Role = role
        padding = _PADDING if space == "global" else 0
        self.stride = -(-(nbytes + padding) // 16) * 16
        self.owned = owners > 1 or space != "global"
        self.data: Array = np.zeros(self.stride * owners, U8)
        self.written: Array | None = None if is_written else np.zeros(self.stride * owners, U8)
        is_private = space == "local" or role == "input"
        self.shadow = None if is_private else Shadow(len(self.data))
        self._views: dict[np.dtype[Any], Array] = {}
        self._written_views: dict[int, Array] = {}

    def view(self, dtype: np.dtype[Any]) -> Array:
        """All bytes as elements of a type."""
        found = self._views.get(dtype)
        if found is None:
            found = self._views[dtype] = self.data.view(dtype)
        return found

    def written_view(self, size: int) -> Array | None:
        """``written`` as unsigned integers of so many bytes: all bytes 1 where all are written."""
        if self.written is None:
            return None
        found = self._written_views.get(size)
        if found is None:
            found = self._written_views[size] = self.written.view(UNSIGNED[size])
        return found

    def forget_accesses(self) -> None:
        """Begin a launch: what earlier ones did is ordered before it."""
        if self.shadow is not None:
            self.shadow.clear()


@dataclass(frozen=True)
class Pointer:
    """An address inside a buffer, as a kernel's argument."""

    buffer: Buffer
    offset: int = 0

    @property
    def address(self) -> int:
        """The number that the kernel gets."""
        return self.buffer.address + self.offset


class Buffer:
    """A named buffer in global memory; made by :meth:`Memory.buffer`."""

    def __init__(self, region: Region) -> None:
        self.region = region

    @property
    def name(self) -> str:
        """How findings call it."""
        return self.region.name

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self.region.nbytes

    @property
    def address(self) -> int:
        """Its address, a multiple of 256."""
        return self.region.base

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self, offset)

    @property
    def bytes(self) -> Array:
        """What it holds, as uint8; a view, so that it can be changed."""
        return self.region.data[: self.nbytes]

    def array(self, dtype: Any, shape: tuple[int, ...] | None = None) -> Array:
        """A copy of what it holds, as elements of ``dtype``."""
        flat = np.frombuffer(self.bytes.tobytes(), dtype)
        return flat.copy() if shape is None else flat.reshape(shape).copy()

    def unwritten(self) -> Array:
        """The offsets of the bytes that nothing has written, ascending; int64."""
        if self.region.written is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.region.written[: self.nbytes] == 0)

    def write(self, data: bytes, start: int = 0) -> None:
        """Write bytes from ``start`` on."""
        self.region.data[start : start + len(data)] = np.frombuffer(data, U8)
        self._note_written(start, start + len(data))

    def poison(self, byte: int) -> None:
        """Forget that anything was written, and set every byte to ``byte``.

        Of an input all bytes count as written.
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
        """Copy bytes, as a memcpy does; those that were never written stay so."""
        end, source_end = start + nbytes, source_start + nbytes
        self.region.data[start:end] = source.region.data[source_start:source_end]
        if self.region.written is not None:
            known = source.region.written
            self.region.written[start:end] = 1 if known is None else known[source_start:source_end]


class Memory:
    """The global memory of one or more launches.

    Attributes:
        buffers: by name.
    """

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.regions: dict[int, Region] = {}
        #: The variables of modules that were launched with this memory, by the module's id.
        self.statics: dict[int, dict[str, Region]] = {}

    def buffer(
        self, name: str, content: Array | int, role: Role = "input", *, poison: int = 0xA5
    ) -> Buffer:
        """Add a buffer.

        Args:
            name: unique.
            content: an array whose bytes it begins with, or its size in bytes.
            role: what it is for; see :data:`Role`.
            poison: what every byte holds of an output or a workspace.

        Errors:
            PK352: the name is taken, or the size is that of no buffer.
        """
        if name in self.buffers:
            raise KernelError("PK352", f"buffer '{name}' is there already; expected a new name.")
        is_sized = isinstance(content, (int, np.integer))
        nbytes = int(content) if is_sized else int(np.asarray(content).nbytes)
        if not 0 <= nbytes < _MIDDLE["global"]:
            raise KernelError(
                "PK352", f"buffer '{name}' has {nbytes} bytes; expected 0 to {_MIDDLE['global']}."
            )
        region = self.add(name, nbytes, role, is_written=role in ("input", "inout"))
        if not is_sized:
            region.data[:nbytes] = np.frombuffer(np.asarray(content).tobytes(), U8)
        else:
            region.data[:nbytes] = poison
        self.buffers[name] = Buffer(region)
        return self.buffers[name]

    def add(self, name: str, nbytes: int, role: Role, *, is_written: bool) -> Region:
        """A region in the next free window."""
        window = len(self.regions) + 1
        if window >= SHARED_WINDOW:
            raise KernelError("PK352", f"got {window} buffers; expected at most {window - 1}.")
        base = (window << WINDOW_BITS["global"]) + _MIDDLE["global"]
        region = Region(name, "global", base, nbytes, 1, role, is_written=is_written)
        self.regions[window] = region
        return region

    def begin_launch(self) -> None:
        """Forget who accessed what: launches of a stream are in order."""
        for region in self.regions.values():
            region.forget_accesses()


class PrivateMemory:
    """Shared memory of the blocks of a wave, or local memory of its threads.

    Attributes:
        regions: by window.
        addresses: of each variable, by name.
    """

    def __init__(self, space: str, sizes: Mapping[str, int], owners: int) -> None:
        self.space = space
        self.regions: dict[int, Region] = {}
        self.addresses: dict[str, int] = {}
        for window, (name, nbytes) in enumerate(sizes.items(), 1):
            base = (window << WINDOW_BITS[space]) + _MIDDLE[space]
            self.addresses[name] = base
            self.regions[window] = Region(name, space, base, nbytes, owners)
