"""The windows of pooling operators along one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match

_STEPS = ("strides", "dilations")


@dataclass(frozen=True)
class Windows:
    """Where the windows of a pooling operator stand along one axis.

    Attributes:
        size: of the input.
        kernel: how many elements a window has.
        dilation: the distance between two of them.
        stride: the distance between two windows.
        count: the number of windows.
        before: by how much the first window starts before the input.
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
        """The elements that are missing on each side for every window to be whole."""
        last = (self.count - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return self.before, max(last - self.before - self.size, 0)

    def elements(self) -> npt.NDArray[np.int64]:
        """The indices of every window's elements in the input; shape ``[count, kernel]``."""
        starts = np.arange(self.count)[:, None] * self.stride - self.before
        found: npt.NDArray[np.int64] = starts + np.arange(self.kernel) * self.dilation
        return found

    def elements_counted(self, *, with_padding: bool) -> npt.NDArray[np.int64]:
        """How many elements of each window lie in the input, or in its padding too."""
        first, last = (-self.before, self.size + self.after) if with_padding else (0, self.size)
        inside = (self.elements() >= first) & (self.elements() < last)
        counts: npt.NDArray[np.int64] = np.count_nonzero(inside, axis=1)
        return counts


def why_not_counted(match: Match) -> str | None:
    """Why the elements of the first input, which must be floats, cannot be counted, or None."""
    x = match.inputs[0]
    if match.elem_type(x) not in FLOATS:
        return NO_FLOAT
    shape = match.shape(x)
    if shape is None or None in shape:
        return "the shape of its input is not known"
    return None


def why_no_windows(match: Match) -> str | None:
    """Why it is not known where the windows of a pooling node stand, or None."""
    shape = match.shape(match.inputs[0])
    if shape is None or None in shape[2:]:
        return "a spatial size is unknown"
    rank = len(shape) - 2
    lists = {name: match.attribute(name, [1] * rank) for name in ("kernel_shape", *_STEPS)}
    pads = match.attribute("pads", [0] * 2 * rank)
    if len(pads) != 2 * rank or any(len(each) != rank for each in lists.values()):
        return "its attributes are for another rank than its input's"
    if min(pads, default=0) < 0 or any(min(each, default=1) < 1 for each in lists.values()):
        return "its padding is negative, or its windows or steps are not positive"
    if any(each.count <= 0 for each in windows_of(match)):
        return "the windows are larger than the input"
    return None


def windows_of(match: Match) -> list[Windows]:
    """The windows along each spatial axis, where ``why_no_windows`` has nothing to say."""
    shape = match.shape(match.inputs[0]) or ()
    return [_along(match, axis, size or 0) for axis, size in enumerate(shape[2:])]


def _along(match: Match, axis: int, size: int) -> Windows:
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
        count -= (count - 1) * stride >= size + before  # such a window would hold padding alone
    else:
        count = room // stride + 1
    return Windows(size, kernel[axis], dilation, stride, count, before, after)
