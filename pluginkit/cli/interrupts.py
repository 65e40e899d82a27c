"""Ctrl-C at any moment of a command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType

#: How long Ctrl-C waits before it looks again whether the module is there.
_PATIENCE_S = 0.05


@contextmanager
def interrupts_outside_extensions() -> Iterator[None]:
    """Let Ctrl-C wait while an extension module is imported.

    One that is interrupted crashes the process, or says that it cannot be imported.
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
    if not _is_loading_extension(frame):
        raise KeyboardInterrupt
    again = threading.Timer(_PATIENCE_S, os.kill, [os.getpid(), signal.SIGINT])
    again.daemon = True
    again.start()


def _is_loading_extension(frame: FrameType | None) -> bool:
    while frame is not None:
        is_import = frame.f_code.co_filename.startswith("<frozen importlib")
        if is_import and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False
