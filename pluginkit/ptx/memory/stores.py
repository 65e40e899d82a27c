"""Stores before they are made, and what ``written`` holds of their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.ptx.memory.memory_access import AccessPart
from pluginkit.ptx.types import UNSIGNED, Array


@dataclass(frozen=True)
class PlannedStore:
    """A store before it is made."""

    part: AccessPart
    view: Array
    values: list[Array]

    def some(self, chosen: Array) -> PlannedStore:
        """Return the stores of the chosen threads."""
        return PlannedStore(
            self.part.some(chosen), self.view, [value[chosen] for value in self.values]
        )

    def is_change(self) -> Array:
        """Return for each thread whether its store changes what memory holds."""
        found = [
            self.view[self.part.elements(index)] != value for index, value in enumerate(self.values)
        ]
        changed: Array = np.logical_or.reduce(found)
        return changed


@dataclass(frozen=True)
class DelayedStore:
    """A delayed store, which is made for some of its threads at a time."""

    part: AccessPart
    view: Array
    values: list[Array]

    def __call__(self, places: Array) -> None:
        for index, value in enumerate(self.values):
            self.view[self.part.elements(index)[places]] = value[places]


def all_written(size: int) -> Any:
    """Return ``size`` bytes of 1, as ``written`` has them where all bytes are written."""
    return UNSIGNED[size].type(int.from_bytes(b"\1" * size, "little"))


def used_bytes_of(mask: int | None, index: int, size: int) -> Any:
    """Return the bytes of ``written`` that an element of a vector needs, 1 for each."""
    if mask is None:
        return all_written(size)
    bits = mask >> (index * size) & ((1 << size) - 1)
    chosen = bytes(bits >> place & 1 for place in range(size))
    return UNSIGNED[size].type(int.from_bytes(chosen, "little"))
