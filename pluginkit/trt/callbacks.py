"""Bring exceptions out of TensorRT's callbacks.

TensorRT prints a Python exception of a callback to stderr and goes on: the caller sees a None
engine, or nothing at all; an exception of clone() ends the process. So every callback that runs an
author's code is decorated with :func:`guarded`, which records the exception. ``with
callback_errors():`` raises the first one, chained, once TensorRT has returned. For Ctrl-C see
:mod:`pluginkit.interrupts`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pluginkit.errors import CallbackError, PluginkitError
from pluginkit.interrupts import hands_exceptions_on, interruptible_callbacks

_DecoratedMethod = TypeVar("_DecoratedMethod", bound=Callable[..., Any])


@dataclass(frozen=True)
class CallbackFailure:
    """One exception that a callback raised.

    Attributes:
        plugin: the plugin class's name.
        callback: TensorRT's name of the callback, ``"IPluginV3.get_output_shapes"``.
        node: the name of the node or layer, if known.
        error: the exception, with its traceback.
    """

    plugin: str
    callback: str
    node: str | None
    error: BaseException


_lock = threading.Lock()
_collectors: list[list[CallbackFailure]] = []


@contextmanager
def callback_errors() -> Iterator[list[CallbackFailure]]:
    """Raise what plugin callbacks raised in the body; yields the list of failures, which grows.

    TensorRT calls back on its own threads, so failures of every thread are collected: do not build
    unrelated networks concurrently inside one block. On the main thread Ctrl-C waits for the
    end of the block where TensorRT would swallow its exception or crash.

    Errors:
        PK204: a callback failed; the first exception is the cause. KeyboardInterrupt and SystemExit
            are raised unchanged. If the body raises as well, the callback's exception explains why
            and takes its place.
    """
    failures: list[CallbackFailure] = []
    with _lock:
        _collectors.append(failures)
    try:
        with interruptible_callbacks():
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
    """Add an exception to every ``callback_errors`` block that is open."""
    failure = CallbackFailure(plugin, callback, node, error)
    with _lock:
        for collector in _collectors:
            collector.append(failure)


def guarded(interface: str) -> Callable[[_DecoratedMethod], _DecoratedMethod]:
    """Decorate a callback of ``interface``: tell the adapter of an exception, then raise it."""

    def decorate(method: _DecoratedMethod) -> _DecoratedMethod:
        callback = f"{interface}.{method.__name__}"

        @functools.wraps(method)
        def call(self: Any, *args: Any) -> Any:
            try:
                return method(self, *args)
            except BaseException as error:
                self.failed(callback, error)
                raise

        return hands_exceptions_on(call)  # type: ignore[return-value]

    return decorate
