"""Memory as regions, each in a separate window of addresses.

Windows are far wider than buffers, so that an address far out of bounds still tells which buffer it
was computed from. Shared and local memory have their own, smaller windows, whose generic addresses
lie outside of all global windows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.memory.earlier_launches import READ, WRITTEN
from pluginkit.ptx.memory.races import Shadow
from pluginkit.ptx.types import U8, UNSIGNED, Array

#: What a buffer is for. ``input``: read only, all written. ``output`` and ``workspace``: nothing
#: is written yet. ``inout``: written, and may be written again. ``static``: a variable of the PTX.
Role = Literal["input", "output", "workspace", "inout", "static"]

#: log2 of a window's bytes in each space.
WINDOW_BITS = {"global": 36, "shared": 20, "local": 24}
WINDOW_MIDDLE = {"global": 1 << 35, "shared": 1 << 18, "local": 1 << 22}
#: The windows of shared and local memory among generic addresses.
SHARED_WINDOW, LOCAL_WINDOW = 0x700, 0x701
GENERIC_BASE = {
    "shared": SHARED_WINDOW << WINDOW_BITS["global"],
    "local": LOCAL_WINDOW << WINDOW_BITS["global"],
}

#: The name of the shared memory that CUDA reserves in each block, which is zero at first.
RESERVED_MEMORY = "reserved_shared_memory"

_UNDEFINED = 2  # the bit of a byte in ``written``
_PADDING = 256  # an atomic may access a word that begins in a buffer and ends past it


class Region:
    """A buffer, or a variable of which each block or thread has one.

    Args:
        name: the name that findings use.
        space: ``global``, ``shared`` or ``local``.
        base: its address in that space.
        nbytes: its size.
        owners: how many blocks or threads have one; 1 for global memory.
        role: what it is for.

    Attributes:
        stride: the bytes from one owner's variable to that of the next.
        data: the bytes of all owners.
        written: 1 for each byte that something wrote, 3 if the value was undefined; None if all
            count as written.
        shadow: its accesses, to find races; None where none can be, as in local memory.
        earlier: for each byte how launches that may still run have accessed it, as the bits of
            :mod:`pluginkit.ptx.memory.earlier_launches`; None if no launch may.
        copying: for each word the time at which an asynchronous copy to it began that has not
            ended; None before the first one.
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
        self.data: Array = np.zeros(self.stride * owners, U8)
        self.written: Array | None = None if is_written else np.zeros(self.stride * owners, U8)
        is_private = space == "local" or role == "input"
        self.shadow = None if is_private else Shadow(len(self.data))
        self.earlier: Array | None = None
        self.copying: Array | None = None
        self._views: dict[np.dtype[Any], Array] = {}
        self._written_views: dict[int, Array] = {}

    def view(self, dtype: np.dtype[Any]) -> Array:
        """Return all bytes as elements of a type."""
        found = self._views.get(dtype)
        if found is None:
            found = self._views[dtype] = self.data.view(dtype)
        return found

    def written_view(self, size: int) -> Array | None:
        """Return ``written`` as unsigned integers, one for each element of ``size`` bytes."""
        if self.written is None:
            return None
        found = self._written_views.get(size)
        if found is None:
            found = self._written_views[size] = self.written.view(UNSIGNED[size])
        return found

    def mark_undefined(self, size: int, elements: Array) -> None:
        """Note that elements of ``size`` bytes have undefined values, until they are written."""
        view = self.written_view(size)
        if view is not None:
            view[elements] |= _repeated(_UNDEFINED, size)

    def undefined(self, size: int, elements: Array) -> Any:
        """Return for each element of ``size`` bytes whether its value is undefined."""
        view = self.written_view(size) if self.space != "global" else None
        if view is None:
            return False
        return view[elements] & _repeated(_UNDEFINED, size) != 0

    def bytes_past_end(self) -> bytes:
        """Return the bytes past the end that an atomic on the last word must not change."""
        if self.space != "global":
            return b""
        return self.data[self.nbytes : self.nbytes + 4].tobytes()

    def begin_launch(self, *, overlaps: bool, keeps_earlier: bool) -> None:
        """Forget all accesses, or make them earlier ones of launches that may still run."""
        if self.shadow is None:
            return
        earlier, self.earlier = self.earlier, None
        if overlaps:
            written, read = self.shadow.accessed()
            self.earlier = WRITTEN * written.astype(U8) | READ * read.astype(U8)
            if keeps_earlier and earlier is not None:
                self.earlier |= earlier
        self.shadow.clear()


def _repeated(byte: int, size: int) -> Any:
    """Return an integer of ``size`` equal bytes."""
    return UNSIGNED[size].type(int.from_bytes(bytes([byte]) * size, "little"))


class PrivateMemory:
    """Shared memory of the blocks of a wave, or local memory of its threads.

    Args:
        space: ``shared`` or ``local``.
        sizes: the bytes of each variable.
        owners: how many blocks or threads have these variables.
        dynamic: the variables in dynamic shared memory, which all begin at the same address.

    Attributes:
        regions: the region of each window.
        addresses: the address of each variable, by name.
    """

    def __init__(
        self,
        space: str,
        sizes: Mapping[str, int],
        owners: int,
        dynamic: Collection[str] = (),
    ) -> None:
        self.regions: dict[int, Region] = {}
        self.addresses: dict[str, int] = {}
        dynamic_base: int | None = None
        for name, nbytes in sizes.items():
            if name in dynamic and dynamic_base is not None:
                self.addresses[name] = dynamic_base
                continue
            window = len(self.regions) + 1
            base = (window << WINDOW_BITS[space]) + WINDOW_MIDDLE[space]
            self.addresses[name] = base
            is_written = name == RESERVED_MEMORY
            self.regions[window] = Region(
                demangled(name), space, base, nbytes, owners, is_written=is_written
            )
            if name in dynamic:
                dynamic_base = base
