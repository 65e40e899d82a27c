"""Hold copies that threads have begun until they have waited for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pluginkit.ptx.memory.access import Access
from pluginkit.ptx.memory.sites import Site
from pluginkit.ptx.types import Array


@dataclass(frozen=True)
class _Copy:
    """One instruction's copies: where each thread's go, what they bring, in which group."""

    site: Site
    ids: Array
    addresses: Array
    values: list[Array]
    groups: Array

    def some(self, chosen: Array) -> _Copy:
        """Those of some threads."""
        values = [value[chosen] for value in self.values]
        return _Copy(
            self.site, self.ids[chosen], self.addresses[chosen], values, self.groups[chosen]
        )


class PendingCopies:
    """The copies of a wave's threads.

    Args:
        threads: how many they are.
    """

    def __init__(self, threads: int) -> None:
        self._groups = np.zeros(threads, np.int64)
        self._begun: list[_Copy] = []

    def begin(self, site: Site, ids: Array, addresses: Array, values: list[Array]) -> None:
        """Begin a copy in the threads' current group."""
        self._begun.append(_Copy(site, ids, addresses, values, self._groups[ids]))

    def commit(self, ids: Array) -> None:
        """End the threads' current group."""
        self._groups[ids] += 1

    def wait(self, access: Access, ids: Array, groups_left: int | None) -> None:
        """Finish all but the last ``groups_left`` groups of copies; None finishes all."""
        is_waiting = np.zeros(len(self._groups), bool)
        is_waiting[ids] = True
        begun, self._begun = self._begun, []
        for copy in begun:
            is_done = is_waiting[copy.ids]
            if groups_left is not None:
                is_done &= copy.groups < self._groups[copy.ids] - groups_left
            if is_done.any():
                done = copy.some(is_done)
                access.store(done.site, done.ids, done.addresses, done.values)
            if not is_done.all():
                self._begun.append(copy.some(~is_done))
