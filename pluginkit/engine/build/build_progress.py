"""A build as its caller sees it: what is going on, how far it is, and how to stop it."""

from __future__ import annotations

import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class BuildObserver:
    """Told of a build's course, on any thread; this one ignores all of it."""

    def notice(self, text: str) -> None:
        """A choice that pluginkit made for the user, in one sentence."""

    def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
        """A phase of ``num_steps`` steps begins, inside the phase ``parent``."""

    def step_complete(self, name: str, step: int) -> None:
        """Step ``step`` of a phase is done."""

    def phase_finish(self, name: str) -> None:
        """A phase is over, possibly before all its steps."""


def progress_monitor(trt: Any, observer: BuildObserver, is_cancelled: Callable[[], bool]) -> Any:
    """The IProgressMonitor that tells ``observer`` and ends the build once ``is_cancelled``."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
            _tell(observer.phase_start, name, parent, num_steps)

        def step_complete(self, name: str, step: int) -> bool:
            _tell(observer.step_complete, name, step)
            return not is_cancelled()

        def phase_finish(self, name: str) -> None:
            _tell(observer.phase_finish, name)

    return Monitor()


def _tell(method: Callable[..., None], *args: object) -> None:
    """Call an observer; what it raises must not reach TensorRT's C++."""
    try:
        method(*args)
    except Exception as error:
        warnings.warn(f"build observer failed: {error!r}", RuntimeWarning, stacklevel=2)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag while TensorRT works; yields the question whether it was pressed.

    A KeyboardInterrupt raised inside a callback would be swallowed by TensorRT, and outside of one
    it waits until TensorRT returns. The signal's wake-up socket is written at once, whatever thread
    TensorRT calls back on.
    """
    if threading.current_thread() is not threading.main_thread():
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
