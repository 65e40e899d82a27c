"""Handle Ctrl-C, in one place.

The rule: Ctrl-C raises a KeyboardInterrupt at once, except where that exception would not reach the
caller. There it waits until it can. Three context managers know these places:

- :func:`interruptible_command` surrounds a command. An extension module whose import is interrupted
  crashes the process or claims to be missing, and up to Python 3.11 a class whose ``__set_name__``
  raises ends in a RuntimeError. Ctrl-C waits until the import or the class is done.
- :func:`interruptible_callbacks` surrounds calls into TensorRT. TensorRT swallows an exception of a
  callback. Ctrl-C waits for the end of the block, unless it comes in a callback that hands its
  exceptions on (:func:`hands_exceptions_on`).
- :func:`interruptible_build` surrounds TensorRT's builder, which runs for minutes without calling
  Python on the main thread. Ctrl-C sets a flag, and the progress monitor ends the build.

Only the main thread gets Ctrl-C, so on other threads all three do nothing. A child process gets
Ctrl-C from the terminal as well and dies of it; whoever started it closes it in a ``finally``.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import CodeType, FrameType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: How long Ctrl-C waits before it looks again whether an import or a class is done.
_RETRY_S = 0.05

_uninterrupted: set[CodeType] = set()
_handing_on: set[CodeType] = set()


def uninterrupted(function: _Function) -> _Function:
    """Mark a function, called by TensorRT, in which Ctrl-C waits.

    A clone() that raises ends the process; from other callbacks TensorRT takes any value for the
    result.
    """
    _uninterrupted.add(function.__code__)
    return function


def hands_exceptions_on(function: _Function) -> _Function:
    """Mark a function, called by TensorRT, that keeps its exceptions for the caller."""
    _handing_on.add(function.__code__)
    return function


@contextmanager
def interruptible_command() -> Iterator[None]:
    """Let Ctrl-C wait in the body while an extension module is imported or a class is made.

    Nothing changes where the program has a SIGINT handler already.
    """
    is_ours = _is_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, _interrupt_command)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt_command(_signal: int, frame: FrameType | None) -> None:
    if not _is_inside_import_or_class(frame):
        raise KeyboardInterrupt
    again = threading.Timer(_RETRY_S, os.kill, [os.getpid(), signal.SIGINT])
    again.daemon = True
    again.start()


def _is_inside_import_or_class(frame: FrameType | None) -> bool:
    while frame is not None:
        is_import = frame.f_code.co_filename.startswith("<frozen importlib")
        if is_import and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        if frame.f_code.co_name == "__set_name__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def interruptible_callbacks() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the body where TensorRT would swallow its exception."""
    old = signal.getsignal(signal.SIGINT)
    if not _is_main_thread() or not callable(old):
        yield
        return
    is_waiting = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_waiting
        if _reaches_caller(frame):
            old(number, frame)
        else:
            is_waiting = True

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
        if is_waiting:
            signal.raise_signal(signal.SIGINT)


def _reaches_caller(frame: FrameType | None) -> bool:
    """Whether an exception raised in the frame reaches the caller through TensorRT."""
    if frame is not None and frame.f_code in _handing_on:
        return False  # its ``try`` has not begun, or has ended
    while frame is not None and frame.f_code not in _handing_on:
        if frame.f_code in _uninterrupted:
            return False
        frame = frame.f_back
    return True


@contextmanager
def interruptible_build() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag; yields a function that says whether it was pressed.

    The function works on every thread: the signal is written to a socket at once, while Python's
    handler waits until TensorRT returns to the main thread.
    """
    if not _is_main_thread():
        yield lambda: False
        return
    receiver, sender = socket.socketpair()
    pressed = threading.Event()

    def is_pressed() -> bool:
        try:
            if signal.SIGINT in receiver.recv(64):
                pressed.set()
        except BlockingIOError:
            pass
        return pressed.is_set()

    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        old_handler = signal.signal(signal.SIGINT, lambda *_: pressed.set())
        old_wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield is_pressed
        finally:
            signal.set_wakeup_fd(old_wakeup)
            signal.signal(signal.SIGINT, old_handler)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
