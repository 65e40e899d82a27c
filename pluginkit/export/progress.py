"""Callbacks that report the progress of an export."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the name of the phase, how many of its items are done, and how many there are.
Report = Callable[[str, int, int], None]


def silent(phase: str, done: int, count: int) -> None:
    """Report nothing."""
