"""Unique in numpy: NaN comes last and equals itself, for every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def unique(x: Array, axis: int | None, is_sorted: bool) -> tuple[Array, Array, Array, Array]:
    """Return Y, indices, inverse_indices and counts, from a stable sort of the slices."""
    along = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    slices = along.reshape(len(along), int(np.prod(along.shape[1:])))
    if x.dtype.itemsize == 2:  # numpy sorts these slowly or not at all
        slices = slices.astype(np.float32)
    columns = slices.T[::-1]
    order = np.lexsort(columns) if len(columns) else np.arange(len(along))
    in_order = slices[order]
    is_first = np.ones(len(along), bool)
    is_first[1:] = (~_are_equal(in_order[1:], in_order[:-1])).any(1)
    indices, starts = order[is_first], np.flatnonzero(is_first)
    counts = np.diff(starts, append=len(along))
    inverse = np.empty(len(along), np.int64)
    inverse[order] = np.cumsum(is_first) - 1
    if not is_sorted:
        places = np.argsort(indices)
        indices, counts = indices[places], counts[places]
        inverse = np.argsort(places)[inverse]
    y = along[indices] if axis is None else np.take(x, indices, axis)
    return y, indices.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


def _are_equal(some: Array, others: Array) -> Array:
    equal: Array = some == others
    if some.dtype.kind == "f":
        equal |= np.isnan(some) & np.isnan(others)
    return equal
