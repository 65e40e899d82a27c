"""Run the atomic operations of many threads as if one thread came after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pluginkit.ptx.types import Array

#: Computes the new value from the old one and the operands.
Update = Callable[..., Array]


def apply(
    view: Array, places: Array, update: Update, operands: list[Array], ufunc: Any | None
) -> Array:
    """Update memory, and return what each thread found there.

    Args:
        view: memory as elements.
        places: the element that each thread updates.
        update: computes the new value.
        operands: for each operand an array over the threads.
        ufunc: numpy's form of ``update`` with one operand, if there is one.
    """
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    is_start = np.empty(len(ordered), bool)
    is_start[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_start[1:])
    if is_start.all():
        old = view[places]
        view[places] = update(old, *operands)
        return old
    starts = np.flatnonzero(is_start)
    sizes = np.diff(np.append(starts, len(ordered)))
    if ufunc is not None and sizes.max() > 32:
        return _accumulated(view, ordered, order, starts, ufunc, operands[0])
    return _in_rounds(view, places, order, starts, sizes, update, operands)


def _in_rounds(
    view: Array,
    places: Array,
    order: Array,
    starts: Array,
    sizes: Array,
    update: Update,
    operands: list[Array],
) -> Array:
    """Update in rounds: in each, the next thread of every element."""
    old = np.empty(len(places), view.dtype)
    for turn in range(int(sizes.max())):
        chosen = order[starts[sizes > turn] + turn]
        here = places[chosen]
        old[chosen] = view[here]
        view[here] = update(old[chosen], *(operand[chosen] for operand in operands))
    return old


def _accumulated(
    view: Array, ordered: Array, order: Array, starts: Array, ufunc: Any, operand: Array
) -> Array:
    """Update element by element: one call of numpy for all threads of an element."""
    old = np.empty(len(ordered), view.dtype)
    for start, stop in zip(starts, [*starts[1:], len(ordered)], strict=True):
        threads, place = order[start:stop], ordered[start]
        values = np.empty(stop - start + 1, view.dtype)
        values[0] = view[place]
        values[1:] = operand[threads]
        running = ufunc.accumulate(values)
        old[threads] = running[:-1]
        view[place] = running[-1]
    return old
