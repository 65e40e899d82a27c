"""Turn CenterCropPad, which TensorRT lacks, into slices and a Pad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, INTEGERS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: For each axis that is cropped or padded, its size before and after.
_Sizes = dict[int, tuple[int, int]]


class ExpandCenterCropPad(Rewrite):
    """CenterCropPad(x, shape) -> Pad(Slice(x)), each only if an axis needs it.

    The shape must be stored in the model, and the sizes of its axes must be known. If an odd number
    of elements is cut or added, the odd one is at the end. Zeros are added.
    """

    pattern = Op("CenterCropPad", "x", "shape")

    def check(self, match: Match, x: gs.Tensor, shape: gs.Tensor) -> str | _Sizes:
        stored, sizes = match.constant(shape), match.shape(x)
        problem = match.dtype_problem((*FLOATS, *INTEGERS, "bool"), x)
        if problem is not None:
            return problem
        if stored is None:
            return "its shape is not stored in the model"
        if sizes is None:
            return "the rank of its input is unknown"
        rank = len(sizes)
        axes = list(match.attribute("axes", range(rank)))
        if stored.size != len(axes) or any(not -rank <= axis < rank for axis in axes):
            return "its shape has not one size for each of its axes"
        known = {}
        for axis, after in zip(axes, stored.tolist(), strict=True):
            before = sizes[axis]
            if before is None:
                return "the size of one of its axes is unknown"
            known[axis % rank] = (before, after)
        return known

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Sizes) -> list[gs.Node]:
        pads = np.zeros((2, match.rank(x) or 0), np.int64)
        new = Replacement(match)
        value: NodeInput = x
        for axis, (before, after) in facts.items():
            surplus = before - after
            if surplus > 0:
                start = surplus // 2
                value = new.slice(value, axis, start, start + after)
            pads[:, axis] = -min(surplus, 0) // 2, (1 - min(surplus, 0)) // 2
        if pads.any():
            value = new.pad(value, pads.ravel().tolist())
        return new.end("Identity", value)
