"""Describe an access to memory: the instruction, and the buffers that it touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array


@dataclass(frozen=True)
class Site:
    """One instruction that accesses memory.

    Attributes:
        instruction: the instruction.
        space: ``global``, ``shared``, ``local`` or ``generic``.
        dtype: the unsigned type of one element's bits.
        count: how many elements of a vector it moves.
        is_strong: whether it is atomic or volatile, or a load whose value a compare-and-swap
            checks, so that it races with no other such access.
        fences: whether it acquires or releases by itself.
        used_bytes: which bytes of a vector are used later, as a bit mask; None for all.
        may_pass_end: whether the aligned word that holds a buffer's last bytes may be accessed as
            a whole, as compare-and-swap on a byte or a half must.
    """

    instruction: Instruction
    space: str
    dtype: np.dtype[Any]
    count: int = 1
    is_strong: bool = False
    fences: bool = False
    used_bytes: int | None = None
    may_pass_end: bool = False

    @property
    def nbytes(self) -> int:
        """All bytes that one thread accesses."""
        return self.dtype.itemsize * self.count


@dataclass(frozen=True)
class Part:
    """The threads whose addresses lie in one region.

    Attributes:
        region: the region.
        ids: the threads' numbers in the wave.
        places: which of the group's threads they are; None for all.
        offsets: of their accesses from the region's start, int64.
        first: the element of the region's view that each access begins with.
    """

    region: Region
    ids: Array
    places: Array | None
    offsets: Array
    first: Array

    def of(self, values: Array) -> Array:
        """The elements of these threads."""
        return values if self.places is None else values[self.places]

    def elements(self, index: int) -> Array:
        """The element of the region's view that each thread accesses, of a vector by its index."""
        return self.first + index if index else self.first
