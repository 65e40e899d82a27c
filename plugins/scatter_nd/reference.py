"""ScatterND in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit import InputError
from pluginkit.plugins._cuda.reductions import UFUNCS, Reduction

Array = npt.NDArray[Any]


def scatter_nd(data: Array, indices: Array, updates: Array, reduction: Reduction) -> Array:
    """Scatter rows with ``ufunc.at``; 16-bit floats accumulate in float32 and are rounded once.

    Errors:
        index: an index is out of range.
    """
    sizes = data.shape[: indices.shape[-1]]
    _check_indices(indices, sizes)
    strides = [prod(sizes[dim + 1 :]) for dim in range(len(sizes))]
    tuples = np.where(indices < 0, indices + np.array(sizes, np.int64), indices)
    rows = (tuples @ np.array(strides, np.int64)).ravel()
    inner = prod(data.shape[len(sizes) :])
    wide = np.float32 if data.dtype.itemsize == 2 else data.dtype
    output = data.astype(wide).reshape(prod(sizes), inner)
    values = updates.astype(wide).reshape(len(rows), inner)
    with np.errstate(over="ignore", invalid="ignore"):
        if reduction == "none":
            output[rows] = values
        else:
            UFUNCS[reduction].at(output, rows, values)
        return output.astype(data.dtype).reshape(data.shape)


def _check_indices(indices: Array, sizes: Sequence[int]) -> None:
    limits = np.array(sizes, np.int64)
    outside = np.argwhere((indices < -limits) | (indices >= limits))
    if len(outside):
        position = outside[0].tolist()
        dim = position[-1]
        size = sizes[dim]
        allowed = f"{-size} to {size - 1}" if size else "no index, since the dimension is empty"
        raise InputError(
            f"indices{position} is {indices[tuple(position)]}; "
            f"expected {allowed} (dimension {dim} of data).",
            code="index",
            cause=f"{len(outside)} of {indices.size} indices are out of range.",
        )
