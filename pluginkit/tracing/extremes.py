"""Let ``min`` and ``max`` of traced numbers be expressions."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pluginkit.tracing.expressions import Expr
from pluginkit.tracing.numbers import TracedInt, expr_of, traced
from pluginkit.tracing.traced_path import TracedPath


class _Extremes(threading.local):
    """The path for which ``min`` and ``max`` return expressions on this thread."""

    path: TracedPath | None = None


_extremes = _Extremes()
#: Python's own functions while others are in their place, and how many threads need those.
_originals: dict[str, Any] = {}
_lock, _users = threading.Lock(), 0


@contextmanager
def tracing_extremes(path: TracedPath) -> Iterator[None]:
    """Make ``min`` and ``max`` return expressions instead of branching, on this thread."""
    before, _extremes.path = _extremes.path, path
    _count_users(1)
    try:
        yield
    finally:
        _count_users(-1)
        _extremes.path = before


def _count_users(change: int) -> None:
    """Put functions in the place of Python's for the first user, and Python's for the last."""
    global _users
    with _lock:
        if not _users:
            _originals.update(min=builtins.min, max=builtins.max)
            builtins.min, builtins.max = _chooser("min"), _chooser("max")
        _users += change
        if not _users:
            builtins.min, builtins.max = _originals["min"], _originals["max"]


def _chooser(name: str) -> Callable[..., Any]:
    original = _originals[name]

    def chosen(*values: Any, **named: Any) -> Any:
        path = _extremes.path
        if path is None or named:
            return original(*values, **named)
        if len(values) == 1:
            values = (tuple(values[0]),)
        given = values[0] if len(values) == 1 else values
        if not any(type(one) is TracedInt for one in given) or not all(
            isinstance(one, int) for one in given
        ):
            return original(*values)
        result = expr_of(path, given[0])
        for other in given[1:]:
            result = _extreme(path, name, result, expr_of(path, other))
        return traced(path, result)

    return chosen


def _extreme(path: TracedPath, name: str, a: Expr, b: Expr) -> Expr:
    """Return the minimum or the maximum, as an expression if the facts do not decide."""
    is_ordered = path.answer(path.apply("less_equal", a, b))
    if is_ordered is None:
        return path.apply(name, a, b)
    return a if is_ordered == (name == "min") else b
