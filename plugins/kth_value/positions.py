"""The positions that are asked for, of all rows or of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import InputError, Shape, TensorDesc

if TYPE_CHECKING:
    from pluginkit.plugins.kth_value import KthValue


def check_positions(plugin: KthValue, x: TensorDesc, positions: TensorDesc) -> None:
    """Check that positions are those of all rows or of each, and that rows have elements."""
    axis = x.axis(plugin.axis)
    expected = (*x.shape[:axis], positions.shape[axis % positions.ndim], *x.shape[axis + 1 :])
    if positions.ndim > 1 and (
        positions.ndim != x.ndim
        or any(a != b for a, b in zip(positions.shape, expected, strict=True))
    ):
        raise InputError(
            f"{x}, {positions}; expected one dimension, or the shape of x but for axis "
            f"{plugin.axis}.",
            code="positions",
        )
    if x.shape[axis] > 2**31 - 1 or (x.shape[axis] == 0 and positions.size > 0):
        raise InputError(
            f"{x}; expected 1 to 2^31 - 1 elements along axis {plugin.axis}.", code="size"
        )


def result_shape(plugin: KthValue, x: TensorDesc, positions: TensorDesc) -> Shape:
    """Return the shape of x with the number of positions along the axis."""
    axis = x.axis(plugin.axis)
    ranks = positions.shape[0 if positions.ndim == 1 else axis]
    return (*x.shape[:axis], ranks, *x.shape[axis + 1 :])
