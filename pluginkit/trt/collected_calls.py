"""Collect the calls that TensorRT asks plugins about while it builds, for the plan's manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pluginkit.contract.plugin import Plugin
from pluginkit.trt.recorded_sizes import MemoryNeeds

#: Calls by their plugin, without repetitions and in order.
CollectedCalls = dict[tuple[Plugin, MemoryNeeds], None]

_collectors: list[CollectedCalls] = []


@contextmanager
def collected_calls() -> Iterator[CollectedCalls]:
    """Yield the calls that plugins are asked about in the body, on any thread; it grows."""
    calls: CollectedCalls = {}
    _collectors.append(calls)
    try:
        yield calls
    finally:
        _collectors[:] = [collector for collector in _collectors if collector is not calls]


def collect(plugin: Plugin, needs: Iterable[MemoryNeeds]) -> None:
    """Add calls of a plugin to every collection that is open."""
    for calls in _collectors:
        calls.update(dict.fromkeys((plugin, one) for one in needs))
