"""CenterCropPad, which TensorRT lacks, becomes slices and a Pad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.onnx import Match, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_PADDED = (_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.INT8, _T.INT32, _T.INT64, _T.BOOL, _T.UINT8)


class ExpandCenterCropPad(Rewrite):
    """CenterCropPad(x, shape) -> Pad(Slice(x)), each only where an axis needs it.

    The shape must be stored in the model, and the sizes of its axes be known. Of an odd number of
    elements to cut or to add, the odd one is at the end.
    """

    pattern = "CenterCropPad"

    def check(self, match: Match) -> str | None:
        """Every size must be known."""
        x, shape = match.inputs
        stored, sizes = match.constant(shape), match.shape(x)
        if match.elem_type(x) not in _PADDED:
            return "its type is unknown, or TensorRT has none such"
        if stored is None:
            return "its shape is not stored in the model"
        if sizes is None:
            return "the rank of its input is unknown"
        axes = _axes(match, len(sizes))
        if stored.size != len(axes) or any(not -len(sizes) <= axis < len(sizes) for axis in axes):
            return "its shape has not one size for each of its axes"
        if any(sizes[axis] is None for axis in axes):
            return "the size of one of its axes is unknown"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """What is added is zero."""
        x, shape = match.inputs
        sizes = match.shape(x) or ()
        rank = len(sizes)
        pads = np.zeros((2, rank), np.int64)
        new = Replacement(match)
        value: Value = x
        wanted = np.asarray(match.constant(shape)).tolist()
        for axis, size in zip(_axes(match, rank), wanted, strict=True):
            surplus = (sizes[axis] or 0) - size
            if surplus > 0:
                start = surplus // 2
                value = new.slice(value, axis % rank, start, start + size)
            pads[:, axis] = -min(surplus, 0) // 2, (1 - min(surplus, 0)) // 2
        if pads.any():
            value = new.pad(value, pads.ravel().tolist())
        return new.end("Identity", value)


def _axes(match: Match, rank: int) -> list[int]:
    axes: list[int] = list(match.attribute("axes", range(rank)))
    return axes
