"""The windows of MaxPool along each axis, and the attributes of both MaxPool and MaxUnpool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit import Dim, InputError, Plugin, TensorDesc, ceil_div, dim_max, dim_min, known

if TYPE_CHECKING:
    from pluginkit.plugins.max_pool import MaxPool

_LARGEST = 2**24


def check_counts(values: tuple[int, ...] | None) -> str | None:
    """Return what is wrong with sizes or steps along one to three axes."""
    if values is None or (1 <= len(values) <= 3 and 1 <= min(values) <= max(values) <= _LARGEST):
        return None
    return f"expected one to three numbers from 1 to {_LARGEST}"


def check_padding(pads: tuple[int, ...] | None) -> str | None:
    """Return what is wrong with the padding of one to three axes."""
    if pads is None or (len(pads) in (2, 4, 6) and 0 <= min(pads) <= max(pads) <= _LARGEST):
        return None
    return f"expected two, four or six numbers from 0 to {_LARGEST}"


def wrong_length(plugin: Plugin, x: TensorDesc, names: Sequence[str]) -> str | None:
    """Return which attribute lacks a number, or pads two, for each spatial axis of x; or None."""
    for name in names:
        values, wanted = getattr(plugin, name), (x.ndim - 2) * (2 if name == "pads" else 1)
        if values is not None and len(values) != wanted:
            return f"{name} has {len(values)} numbers; expected {wanted} for {x}."
    return None


@dataclass(frozen=True)
class PooledAxis:
    """The windows along one axis.

    Attributes:
        size: the elements of x.
        count: the windows, which are the elements of y.
        kernel, stride, dilation: the elements of a window, and how far windows and elements lie
            apart.
        pad: how far the first window begins before x.
    """

    size: Dim
    count: Dim
    kernel: int
    stride: int
    dilation: int
    pad: Dim

    def numbers(self) -> tuple[Dim, ...]:
        """Return the kernel's Axis."""
        return self.size, self.count, self.kernel, self.stride, self.dilation, self.pad

    def elements(self) -> npt.NDArray[np.int64]:
        """Return where the elements of every window are, which may be outside: [count, kernel]."""
        starts = np.arange(known(self.count))[:, None] * self.stride - known(self.pad)
        found: npt.NDArray[np.int64] = starts + np.arange(self.kernel) * self.dilation
        return found


def windows_along(plugin: MaxPool, size: Dim, axis: int) -> PooledAxis:
    """Return the windows along a spatial axis of this size."""
    rank = len(plugin.kernel_shape)
    kernel, stride = plugin.kernel_shape[axis], plugin.steps(plugin.strides)[axis]
    dilation = plugin.steps(plugin.dilations)[axis]
    span = dilation * (kernel - 1) + 1
    if plugin.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        count = ceil_div(size, stride)
        total = dim_max((count - 1) * stride + span - size, 0)
        half = total // 2
        pad = half if plugin.auto_pad == "SAME_UPPER" else total - half
        return PooledAxis(size, count, kernel, stride, dilation, pad)
    pads = plugin.pads if plugin.pads and plugin.auto_pad == "NOTSET" else (0,) * 2 * rank
    before, after = pads[axis], pads[rank + axis]
    room = size + before + after - span
    if not plugin.ceil_mode:
        return PooledAxis(size, room // stride + 1, kernel, stride, dilation, before)
    # A last window that starts in the padding after x is left out.
    count = dim_min(ceil_div(room, stride) + 1, ceil_div(size + before, stride))
    return PooledAxis(size, count, kernel, stride, dilation, before)


def windows_of(plugin: MaxPool, x: TensorDesc) -> list[PooledAxis]:
    """Return the windows along each spatial axis of x."""
    return [windows_along(plugin, size, axis) for axis, size in enumerate(x.shape[2:])]


def check_windows(plugin: MaxPool, x: TensorDesc) -> None:
    """Check that attributes are for this rank, and that windows fit."""
    problem = wrong_length(plugin, x, ("kernel_shape", "strides", "dilations", "pads"))
    if problem is not None:
        raise InputError(problem, code="axes")
    for each in windows_of(plugin, x):
        if known(each.size) < 1 or known(each.size) > 2**29:
            raise InputError(f"{x}; expected 1 to 2^29 elements of an axis.", code="size")
        if known(each.count) < 1:
            raise InputError(f"no window fits into {x}.", code="windows")
