"""ScatterElements in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit import InputError
from pluginkit.plugins._cuda.reductions import UFUNCS, Reduction

Array = npt.NDArray[Any]


def scatter_elements(
    data: Array, indices: Array, updates: Array, axis: int, reduction: Reduction
) -> Array:
    """Scatter with ``ufunc.at``; 16-bit floats accumulate in float32 and are rounded once.

    Errors:
        index: an index is out of range.
    """
    axis %= data.ndim
    size = data.shape[axis]
    _check_indices(indices, size, axis)
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = np.where(indices < 0, indices + size, indices)
    wide = np.float32 if data.dtype.itemsize == 2 else data.dtype
    output, updates = data.astype(wide), updates.astype(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        if reduction == "none":
            output[tuple(places)] = updates
        else:
            UFUNCS[reduction].at(output, tuple(places), updates)
        return output.astype(data.dtype)


def _check_indices(indices: Array, size: int, axis: int) -> None:
    outside = np.argwhere((indices < -size) | (indices >= size))
    if len(outside):
        position = outside[0].tolist()
        allowed = f"{-size} to {size - 1}" if size else "no index, since the axis is empty"
        raise InputError(
            f"indices{position} is {indices[tuple(position)]}; expected {allowed} (axis {axis}).",
            code="index",
            cause=f"{len(outside)} of {indices.size} indices are out of range.",
        )
