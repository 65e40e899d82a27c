"""Compute the positions of a pooling operator's windows along each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class Windows:
    """The windows along one axis.

    Attributes:
        size: the number of elements of the input.
        kernel: the number of elements of a window.
        dilation: the distance between two elements of a window.
        stride: the distance between two windows.
        count: the number of windows.
        before: how far the first window starts before the input.
        after: how much padding after the input counts as elements.
    """

    size: int
    kernel: int
    dilation: int
    stride: int
    count: int
    before: int
    after: int

    @property
    def padding(self) -> tuple[int, int]:
        """The number of elements by which the windows exceed each end of the input."""
        last = (self.count - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return self.before, max(last - self.before - self.size, 0)

    def elements(self) -> npt.NDArray[np.int64]:
        """Return the index in the input of every window's elements: [count, kernel]."""
        starts = np.arange(self.count)[:, None] * self.stride - self.before
        found: npt.NDArray[np.int64] = starts + np.arange(self.kernel) * self.dilation
        return found

    def elements_counted(self, *, with_padding: bool) -> npt.NDArray[np.int64]:
        """Return how many elements of each window lie in the input, or in its padding too."""
        first, last = (-self.before, self.size + self.after) if with_padding else (0, self.size)
        inside = (self.elements() >= first) & (self.elements() < last)
        counts: npt.NDArray[np.int64] = np.count_nonzero(inside, axis=1)
        return counts


def windows_of(match: Match, x: gs.Tensor) -> str | list[Windows]:
    """Return the windows along each spatial axis of x, or why they are unknown."""
    shape = match.shape(x)
    if shape is None or None in shape[2:]:
        return "a spatial size is unknown"
    rank = len(shape) - 2
    names = ("kernel_shape", "strides", "dilations")
    lists = [match.attribute(name, [1] * rank) for name in names]
    pads = match.attribute("pads", [0] * 2 * rank)
    if len(pads) != 2 * rank or any(len(each) != rank for each in lists):
        return "its attributes are for another rank than its input's"
    if min(pads, default=0) < 0 or any(min(each, default=1) < 1 for each in lists):
        return "its padding is negative, or its windows or steps are not positive"
    windows = [_windows_along(match, axis, size or 0) for axis, size in enumerate(shape[2:])]
    if any(each.count <= 0 for each in windows):
        return "the windows are larger than the input"
    return windows


def _windows_along(match: Match, axis: int, size: int) -> Windows:
    kernel = match.attribute("kernel_shape")
    rank = len(kernel)
    stride = match.attribute("strides", [1] * rank)[axis]
    dilation = match.attribute("dilations", [1] * rank)[axis]
    pads = match.attribute("pads", [0] * 2 * rank)
    before, after = pads[axis], pads[rank + axis]
    span = dilation * (kernel[axis] - 1) + 1
    auto_pad = match.attribute("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        count = -(-size // stride)
        total = max((count - 1) * stride + span - size, 0)
        before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        return Windows(size, kernel[axis], dilation, stride, count, before, total - before)
    if auto_pad == "VALID":
        before = after = 0
    room = size + before + after - span
    if match.attribute("ceil_mode", 0):
        count = -(-room // stride) + 1
        # A last window that starts in the padding after the input is left out.
        count -= (count - 1) * stride >= size + before
    else:
        count = room // stride + 1
    return Windows(size, kernel[axis], dilation, stride, count, before, after)
