"""Turn pooling with dilations or unusual norms, which TensorRT refuses, into slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._pooling_windows import Windows, windows_of
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandPool(Rewrite):
    """MaxPool(x, dilations) -> Max over slices of x along one axis after the other.

    AveragePool likewise is a Sum of slices over the number of elements, and LpPool the p-th root of
    a Sum of |x|^p, both in float32, as in TensorRT's own pooling. Matches windows with dilations,
    and LpPool with p other than 1 and 2. The spatial sizes must be known, and MaxPool's indices
    unused.
    """

    pattern = Op(("MaxPool", "AveragePool", "LpPool"), "x")

    def check(self, match: Match, x: gs.Tensor) -> str | list[Windows]:
        is_odd_norm = match.node.op == "LpPool" and match.attribute("p", 2) not in (1, 2)
        if not is_odd_norm and set(match.attribute("dilations", [1])) == {1}:
            return "TensorRT takes it: its windows are dense"
        if any(map(match.is_used, match.outputs[1:])):
            return "the indices of the greatest elements are used"
        return match.dtype_problem(FLOATS, x) or windows_of(match, x)

    def rewrite(self, match: Match, x: gs.Tensor, facts: list[Windows]) -> list[gs.Node]:
        windows, dtype = facts, match.dtype(x)
        new = Replacement(match)
        if match.node.op == "MaxPool":
            least: NodeInput = np.array(-np.inf, np.float32)
            if dtype != "float32" and match.opset >= 11:
                least = new.add("Cast", least, to=dtype)
            value = _reduce(new, "Max", _pad(new, x, windows, least), windows)
            return new.into(match.outputs[:1], "Identity", value)
        wide = new.cast(x, "float32")
        if match.node.op == "AveragePool":
            total = _reduce(new, "Sum", _pad(new, wide, windows, None), windows)
            value = new.add("Div", total, _counts(match, windows))
        else:
            order = np.float32(match.attribute("p", 2))
            powers = new.add("Pow", new.add("Abs", wide), order)
            total = _reduce(new, "Sum", _pad(new, powers, windows, None), windows)
            value = new.add("Pow", total, np.float32(1) / order)
        return new.end("Cast", value, to=dtype)


def _pad(new: Replacement, x: NodeInput, windows: Sequence[Windows], fill: NodeInput) -> NodeInput:
    before, after = zip(*(each.padding for each in windows), strict=True)
    pads = [0, 0, *before, 0, 0, *after]
    return new.pad(x, pads, fill) if any(pads) else x


def _reduce(new: Replacement, op_type: str, x: NodeInput, windows: Sequence[Windows]) -> NodeInput:
    """Apply ``op_type`` to the elements of every window, along one axis after the other."""
    for axis, each in enumerate(windows, 2):
        if each.kernel == each.stride == 1:
            continue
        slices = []
        for start in range(0, each.kernel * each.dilation, each.dilation):
            end = start + (each.count - 1) * each.stride + 1
            slices.append(new.slice(x, axis, start, end, each.stride))
        x = slices[0] if len(slices) == 1 else new.add(op_type, *slices)
    return x


def _counts(match: Match, windows: Sequence[Windows]) -> NodeInput:
    """Return the divisors of AveragePool, in the shape of the spatial axes of its output."""
    with_padding = match.attribute("count_include_pad", False)
    counts = [each.elements_counted(with_padding=with_padding) for each in windows]
    return reduce(np.multiply.outer, counts).astype(np.float32)
