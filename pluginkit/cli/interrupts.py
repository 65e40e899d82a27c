"""Ctrl-C at any moment of a command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType

#: How long Ctrl-C waits before it looks again where the program is.
_PATIENCE_S = 0.05


@contextmanager
def interrupts_that_come_through() -> Iterator[None]:
    """Let Ctrl-C wait where its exception would become another one.

    An extension module whose import is interrupted crashes the process, or says that it cannot be
    imported; and up to Python 3.11 a class that is being made raises a RuntimeError for whatever a
    ``__set_name__`` raises.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_ours:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    if not _would_change(frame):
        raise KeyboardInterrupt
    again = threading.Timer(_PATIENCE_S, os.kill, [os.getpid(), signal.SIGINT])
    again.daemon = True
    again.start()


def _would_change(frame: FrameType | None) -> bool:
    """Whether an exception that is raised in the frame is another one further out."""
    while frame is not None:
        is_import = frame.f_code.co_filename.startswith("<frozen importlib")
        if is_import and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        if frame.f_code.co_name == "__set_name__":
            return True
        frame = frame.f_back
    return False
