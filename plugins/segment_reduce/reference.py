"""SegmentReduce in numpy."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit import InputError
from pluginkit.plugins._cuda.reductions import UFUNCS

if TYPE_CHECKING:
    from pluginkit.plugins.segment_reduce import SegmentReduce

Array = npt.NDArray[Any]


def segment_reduce(
    plugin: SegmentReduce,
    x: Array,
    destinations: Array,
    size: Array,
    sources: Array | None,
    weights: Array | None,
) -> Array:
    """Gather the messages, multiply and reduce them in float64, and round once.

    Errors:
        index: an index is out of range.
    """
    rows = int(size[0])
    at = _in_range("destinations", destinations, rows)
    nodes = at if sources is None else _in_range("sources", sources, len(x))
    messages = x.reshape(len(x), prod(x.shape[1:])).astype(np.float64)
    messages = messages if sources is None else messages[nodes]
    with np.errstate(over="ignore", invalid="ignore"):
        if weights is not None:
            columns = weights.reshape(len(weights), *weights.shape[1:] or (1,)).astype(np.float64)
            each = messages.shape[1] // columns.shape[1]
            messages = messages * np.repeat(columns, each, axis=1)
        y = _aggregated(plugin, messages, at, rows)
        return y.astype(x.dtype).reshape(rows, *x.shape[1:])


def _aggregated(plugin: SegmentReduce, messages: Array, at: Array, rows: int) -> Array:
    counts = np.bincount(at, minlength=rows)[:, None]
    shape = rows, messages.shape[1]
    if plugin.aggregate in ("add", "mean"):
        sums = [np.bincount(at, column, rows) for column in messages.T]
        y = np.array(sums).reshape(shape[::-1]).T
        return y / np.maximum(counts, 1) if plugin.aggregate == "mean" else y
    none = -np.inf if plugin.aggregate == "max" else np.inf
    y = np.full(shape, none if plugin.initial is None else plugin.initial)
    UFUNCS[plugin.aggregate].at(y, at, messages)
    return np.where(counts > 0, y, 0)


def _in_range(name: str, indices: Array, size: int) -> Array:
    outside = np.flatnonzero((indices < -size) | (indices >= size))
    if len(outside):
        at = int(outside[0])
        allowed = f"{-size} to {size - 1}" if size else "no index, since there are no rows"
        raise InputError(
            f"{name}[{at}] is {indices[at]}; expected {allowed}.",
            code="index",
            cause=f"{len(outside)} of {indices.size} indices are out of range.",
        )
    return np.where(indices < 0, indices + size, indices).astype(np.int64)
