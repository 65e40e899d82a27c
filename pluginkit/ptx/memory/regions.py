"""Keep memory in regions, each in a separate window of addresses.

Windows are far wider than buffers, so that an address says which buffer it was made from even when
it lies gigabytes outside. Shared and local memory have their own, smaller windows; in generic
addresses they lie apart from all global ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from pluginkit.ptx.memory.races import Shadow
from pluginkit.ptx.plain_names import plain_name
from pluginkit.ptx.types import U8, UNSIGNED, Array

#: What a buffer is for. ``input``: read only, all written. ``output`` and ``workspace``: nothing
#: is written yet. ``inout``: written, and may be written again. ``static``: a variable of the PTX.
Role = Literal["input", "output", "workspace", "inout", "static"]

#: log2 of a window's bytes in each space.
WINDOW_BITS = {"global": 36, "shared": 20, "local": 24}
MIDDLE = {"global": 1 << 35, "shared": 1 << 18, "local": 1 << 22}
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

    def bytes_past_end(self) -> bytes:
        """Return the bytes past the end that an atomic on the last word must not change."""
        if self.space != "global":
            return b""
        return self.data[self.nbytes : self.nbytes + 4].tobytes()

    def forget_accesses(self) -> None:
        """Begin a launch: what earlier ones did is ordered before it."""
        if self.shadow is not None:
            self.shadow.clear()


class PrivateMemory:
    """Shared memory of the blocks of a wave, or local memory of its threads.

    Args:
        space: ``shared`` or ``local``.
        sizes: the bytes of each variable.
        owners: how many blocks or threads have them.
        one_of_many: variables that all lie at the same place: dynamic shared memory.

    Attributes:
        regions: by window.
        addresses: of each variable, by name.
    """

    def __init__(
        self,
        space: str,
        sizes: Mapping[str, int],
        owners: int,
        one_of_many: Collection[str] = (),
    ) -> None:
        self.regions: dict[int, Region] = {}
        self.addresses: dict[str, int] = {}
        place_of_many: int | None = None
        for name, nbytes in sizes.items():
            if name in one_of_many and place_of_many is not None:
                self.addresses[name] = place_of_many
                continue
            window = len(self.regions) + 1
            base = (window << WINDOW_BITS[space]) + MIDDLE[space]
            self.addresses[name] = base
            self.regions[window] = Region(plain_name(name), space, base, nbytes, owners)
            if name in one_of_many:
                place_of_many = base
