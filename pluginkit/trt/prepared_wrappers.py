"""Put something around every enqueue of every adapter, such as a comparison of its results."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.tensors import TensorDesc
from pluginkit.kernels.prepare import Prepared

#: Gets an AdapterCore, its prepared enqueue and the descriptions of inputs and outputs; returns
#: what to enqueue in its place.
Wrapper = Callable[[Any, Prepared, tuple[calls.Inputs, Sequence[TensorDesc]]], Prepared]

#: Every AdapterCore, and what is around their enqueues.
live: weakref.WeakSet[Any] = weakref.WeakSet()
wrappers: list[Wrapper] = []


@contextmanager
def wrapping_prepared(wrapper: Wrapper) -> Iterator[None]:
    """Pass every prepared enqueue through ``wrapper``, in existing adapters too."""
    wrappers.append(wrapper)
    _prepare_again()
    try:
        yield
    finally:
        wrappers.remove(wrapper)
        _prepare_again()


def _prepare_again() -> None:
    for core in list(live):
        core.release()
