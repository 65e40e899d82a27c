"""Brings exceptions out of TensorRT's callbacks.

TensorRT prints a Python exception in a callback to stderr and goes on: the caller sees a None
engine, or nothing at all; one in a clone() ends the process. Every callback of an adapter that runs
an author's code does so under :func:`guarded`, which keeps the exception; ``with
callback_errors():`` raises the first one, chained, once TensorRT has returned. Ctrl-C waits until
then in the others, the :func:`unbroken` ones.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, TypeVar

from pluginkit.errors import CallbackError, PluginkitError

_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class CallbackFailure:
    """One exception that a callback raised.

    Attributes:
        plugin: the plugin class's name.
        callback: TensorRT's name of the callback, ``"IPluginV3.get_output_shapes"``.
        node: the node or layer's name, as far as it is known.
        error: the exception, with its traceback.
    """

    plugin: str
    callback: str
    node: str | None
    error: BaseException


_lock = threading.Lock()
_collectors: list[list[CallbackFailure]] = []
#: Callbacks, and parts of them, from which no exception comes back.
_unbroken: set[CodeType] = set()
#: The wrappers of the callbacks from which every exception does.
_guarded: set[CodeType] = set()


@contextmanager
def callback_errors() -> Iterator[list[CallbackFailure]]:
    """Raise what plugin callbacks raised in the body; yields the list that failures are added to.

    TensorRT calls back on threads of its own, so failures of every thread are collected: do not
    build unrelated networks concurrently inside one block. On the main thread Ctrl-C waits for the
    end of the block where TensorRT would swallow its exception, or crash.

    Errors:
        PK204: a callback failed; the first exception is the cause. KeyboardInterrupt and SystemExit
            come back as they are. An exception of the body gives way to the callback's, which
            explains it.
    """
    failures: list[CallbackFailure] = []
    with _lock:
        _collectors.append(failures)
    try:
        with _interrupts_that_come_back():
            yield failures
    except CallbackError:
        raise
    except Exception as consequence:
        _raise_first(failures, consequence)
        raise
    else:
        _raise_first(failures, None)
    finally:
        with _lock:
            _collectors[:] = [collector for collector in _collectors if collector is not failures]


@contextmanager
def _interrupts_that_come_back() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the body where its exception would be TensorRT's to handle."""
    old = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(old):
        yield
        return
    is_waiting = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_waiting
        if _comes_back(frame):
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


def _comes_back(frame: FrameType | None) -> bool:
    """Whether an exception that is raised in the frame reaches :func:`callback_errors`."""
    if frame is not None and frame.f_code in _guarded:
        return False  # its ``try`` has not begun, or has ended
    while frame is not None and frame.f_code not in _guarded:
        if frame.f_code in _unbroken:
            return False
        frame = frame.f_back
    return True


def _raise_first(failures: list[CallbackFailure], consequence: Exception | None) -> None:
    if not failures:
        return
    first = failures[0]
    if not isinstance(first.error, Exception):
        raise first.error
    cause, fix = f"{type(first.error).__name__}: {first.error}", "see the plugin's traceback above."
    if isinstance(first.error, PluginkitError):
        cause, fix = str(first.error), first.error.fix or fix
    if consequence is not None and consequence is not first.error:
        said = consequence.message if isinstance(consequence, PluginkitError) else consequence
        cause += f"\nTensorRT then said: {said}"
    raise CallbackError(
        "PK204",
        f"{first.plugin}: {first.callback.rpartition('.')[2]} failed while TensorRT called it.",
        where=f"node '{first.node}', {first.callback}" if first.node else first.callback,
        cause=cause,
        fix=fix,
    ) from first.error


def record(plugin: str, callback: str, node: str | None, error: BaseException) -> None:
    """Keep an exception for every ``callback_errors`` block that is open."""
    failure = CallbackFailure(plugin, callback, node, error)
    with _lock:
        for collector in _collectors:
            collector.append(failure)


def guarded(interface: str) -> Callable[[_Method], _Method]:
    """Decorate a callback of ``interface``: the adapter is told of an exception before TensorRT."""

    def decorate(method: _Method) -> _Method:
        callback = f"{interface}.{method.__name__}"

        @functools.wraps(method)
        def call(self: Any, *args: Any) -> Any:
            try:
                return method(self, *args)
            except BaseException as error:
                self.failed(callback, error)
                raise

        _guarded.add(call.__code__)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def unbroken(method: _Method) -> _Method:
    """Decorate a callback that runs no author's code: Ctrl-C does not interrupt it.

    A clone() that raises ends the process; of others TensorRT takes what it likes for the result.
    """
    _unbroken.add(method.__code__)
    return method
