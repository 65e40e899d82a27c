"""Run compilations in parallel, on threads: the compilers do not hold Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pluginkit.export.progress import Report, silent

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    work: Callable[[T], R], items: Sequence[T], phase: str = "", report: Report = silent
) -> list[R]:
    """Return ``work(item)`` for every item, in order; runs one thread for each CPU.

    Args:
        work: the function to call; its first exception ends all work.
        items: its arguments.
        phase: the name of this work, for ``report``.
        report: called with the progress.
    """
    report(phase, 0, len(items))
    results = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for number, future in enumerate(futures, 1):
                results.append(future.result())
                report(phase, number, len(items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
