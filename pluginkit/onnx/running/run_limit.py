"""End the run of a model that takes too long: a Loop whose condition stays true never ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import onnxruntime

from pluginkit.errors import ModelError, UsageError

_limit_s: ContextVar[float | None] = ContextVar("limit_s", default=None)


@contextmanager
def run_limit(seconds: float | None) -> Iterator[None]:
    """Limit how long each loop, and each piece of a model in ONNX Runtime, may run in the body.

    Errors:
        PK444: the limit is not more than 0.
    """
    if seconds is not None and not seconds > 0:
        raise UsageError("PK444", f"limit_s is {seconds}; expected more than 0 seconds.")
    token = _limit_s.set(seconds)
    try:
        yield
    finally:
        _limit_s.reset(token)


@contextmanager
def limited_run(where: str) -> Iterator[onnxruntime.RunOptions]:
    """Give the options of a run of ONNX Runtime, which ends at the limit.

    Errors:
        PK467: it took longer.
    """
    options, limit = onnxruntime.RunOptions(), _limit_s.get()
    if limit is None:
        yield options
        return
    timer = threading.Timer(
        min(limit, threading.TIMEOUT_MAX), setattr, (options, "terminate", True)
    )
    timer.daemon = True
    timer.start()
    try:
        yield options
    except Exception as error:  # their exception classes have no common base
        if options.terminate:
            raise _too_long(limit, where) from error
        raise
    finally:
        timer.cancel()


class LoopLimit:
    """The limit of a loop that runs in Python.

    Args:
        where: the loop, for the message.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise PK467 where the loop has run for longer than the limit."""
        limit = _limit_s.get()
        if limit is not None and time.monotonic() - self._start > limit:
            raise _too_long(limit, self._where)


def _too_long(limit: float, where: str) -> ModelError:
    return ModelError(
        "PK467",
        f"the model had not ended after {limit:g} s.",
        where=where,
        cause="a Loop whose condition stays true for these inputs never ends; or the model is "
        "large.",
        fix="give inputs for which it ends with --inputs or --range, or more time with --limit.",
    )
