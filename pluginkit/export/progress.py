"""Tell the caller of an export how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Gets what is being done, how much of it is done, and how much there is.
Report = Callable[[str, int, int], None]


def silent(phase: str, done: int, count: int) -> None:
    """Tell nobody."""
