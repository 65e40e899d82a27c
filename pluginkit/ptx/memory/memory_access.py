"""A load, store or atomic as an access to memory, and its parts in single regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array

_WORD_BITS = 2


@dataclass(frozen=True)
class MemoryAccess:
    """How one instruction accesses memory, the same for all threads.

    Attributes:
        instruction: the instruction.
        space: ``global``, ``shared``, ``local`` or ``generic``.
        dtype: the unsigned type of one element's bits.
        count: how many elements of a vector it moves.
        is_strong: whether it is a strong operation of the memory model: atomic, volatile, relaxed,
            acquire or release. Two strong accesses do not race. A load whose value a
            compare-and-swap checks later counts as strong too.
        is_of_block: whether it is strong only for threads of its own block, like atomicAdd_block.
        fences: whether it has acquire or release semantics itself.
        used_bytes: which bytes of a vector the kernel uses later, as a bit mask; None for all.
        may_pass_end: whether it may reach past a buffer's end inside an aligned word. A
            compare-and-swap on a byte or a half has to access the word around it.
        alignment: the bytes that addresses must be a multiple of, where they differ from those
            accessed: of a vector's first element, or of a bulk copy; 1 where they do not.
    """

    instruction: Instruction
    space: str
    dtype: np.dtype[Any]
    count: int = 1
    is_strong: bool = False
    is_of_block: bool = False
    fences: bool = False
    used_bytes: int | None = None
    may_pass_end: bool = False
    alignment: int = 1

    @property
    def nbytes(self) -> int:
        """How many bytes one thread accesses."""
        return self.dtype.itemsize * self.count


@dataclass(frozen=True)
class AccessPart:
    """The threads of an access whose addresses lie in one region.

    Attributes:
        region: the region.
        ids: the threads' numbers in the wave.
        places: their positions among all threads of the access; None if these are all.
        offsets: the bytes from the region's start to each thread's address, int64.
        first: the first element that each thread accesses, as an index into the region's view.
    """

    region: Region
    ids: Array
    places: Array | None
    offsets: Array
    first: Array

    def of(self, values: Array) -> Array:
        """Return these threads' elements of an array over all threads of the access."""
        return values if self.places is None else values[self.places]

    def elements(self, index: int) -> Array:
        """Return where each thread accesses one element of its vector, as indices of the view."""
        return self.first + index if index else self.first

    def words(self, access: MemoryAccess) -> Array:
        """Return the words of 4 bytes that each thread accesses: threads by words."""
        first = (self.first * access.dtype.itemsize) >> _WORD_BITS
        found: Array = first[:, None] + np.arange(max(1, access.nbytes >> _WORD_BITS))
        return found

    def some(self, chosen: Array) -> AccessPart:
        """Return the part of the chosen threads, whose positions are those among all."""
        listed = np.flatnonzero(chosen)
        return AccessPart(
            self.region,
            self.ids[listed],
            listed if self.places is None else self.places[listed],
            self.offsets[listed],
            self.first[listed],
        )
