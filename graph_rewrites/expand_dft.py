"""DFT, which TensorRT lacks, becomes a product with the matrix of the transform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.graph_rewrites._quantization import is_given
from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_LARGEST = 2**24


class ExpandDft(Rewrite):
    """DFT(x) -> MatMul(x, matrix), the real and the imaginary parts side by side.

    The work grows with the square of the length, and the matrix has 2**24 elements at most: 2048
    complex numbers. The product is float32, of float32, float16 and
    bfloat16, as exact as TensorRT's products are: with TF32 allowed, to 10 bits. The transformed
    axis and the last one must have known sizes; the length and the axis be stored in the model.
    """

    pattern = "DFT"

    def check(self, match: Match) -> str | None:
        """Everything that the matrix depends on must be known."""
        if match.elem_type(match.inputs[0]) not in FLOATS:
            return NO_FLOAT
        if any(each.name and match.constant(each) is None for each in match.inputs[1:]):
            return "the length or the axis is not stored in the model"
        shape = match.shape(match.inputs[0])
        if shape is None or shape[-1] is None or shape[_axis(match, len(shape))] is None:
            return "the size of the transformed axis, or of the last one, is unknown"
        elements = math.prod(_matrix_shape(match, shape[_axis(match, len(shape))] or 0, shape[-1]))
        if not 0 < elements <= _LARGEST:
            return f"its matrix would have {elements} elements; expected 1 to {_LARGEST}"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The transformed axis stands next to the last one meanwhile."""
        x = match.inputs[0]
        shape = match.shape(x) or ()
        rank, axis = len(shape), _axis(match, len(shape))
        matrix = _matrix(match, shape[axis] or 0, shape[-1] or 0)
        rows, parts, columns, made = matrix.shape
        new = Replacement(match)
        value: Value = new.cast(x, _T.FLOAT)
        if rows < (shape[axis] or 0):
            value = new.slice(value, axis, 0, rows)
        order = [*range(rank)]
        order[axis], order[-2] = order[-2], order[axis]
        if axis != rank - 2:
            value = new.add("Transpose", value, perm=order)
        value = new.add("Reshape", value, np.array([0] * (rank - 2) + [rows * parts]))
        value = new.add("MatMul", value, matrix.reshape(rows * parts, columns * made))
        value = new.add("Reshape", value, np.array([0] * (rank - 2) + [columns, made]))
        if axis != rank - 2:
            value = new.add("Transpose", value, perm=order)
        return new.end("Cast", value, to=match.elem_type(x))


def _axis(match: Match, rank: int) -> int:
    if is_given(match.inputs, 2):
        axis = np.asarray(match.constant(match.inputs[2])).item()
    else:
        axis = match.attribute("axis", 1) if match.opset < 20 else -2
    return int(axis) % rank


def _matrix(match: Match, size: int, parts: int) -> npt.NDArray[np.float32]:
    """The transform, of shape ``[elements read, their parts, elements made, their parts]``.

    Args:
        match: the DFT.
        size: of the transformed axis.
        parts: 1 where the input is real, 2 where it is complex.
    """
    rows, parts, columns, made = _matrix_shape(match, size, parts)
    is_inverse, length = match.attribute("inverse", 0), _length(match, size)
    turns = np.outer(np.arange(rows), np.arange(columns)) % length / length
    angle = 2 * np.pi * turns * (1 if is_inverse else -1)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix: npt.NDArray[Any] = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)
    if is_inverse:
        matrix = matrix / length
    if made == 1:  # each element stands for its conjugate too, but for the first and the middle one
        weights = np.where(np.arange(rows) * 2 % length == 0, 1, 2)
        matrix = matrix * weights[:, None, None, None]
    return matrix[:, :parts, :, :made].astype(np.float32)


def _matrix_shape(match: Match, size: int, parts: int) -> tuple[int, int, int, int]:
    """The matrix's shape, see there; an inverse of half a spectrum makes real numbers."""
    is_inverse, is_onesided = match.attribute("inverse", 0), match.attribute("onesided", 0)
    length = _length(match, size)
    half = length // 2 + 1
    if is_inverse and is_onesided:
        return min(size, half), parts, length, 1
    return min(size, length), parts, half if is_onesided else length, 2


def _length(match: Match, size: int) -> int:
    """Of the transform: stored, or that of the axis, half of which a half spectrum lacks."""
    if is_given(match.inputs, 1):
        return int(np.asarray(match.constant(match.inputs[1])).item())
    is_half = match.attribute("inverse", 0) and match.attribute("onesided", 0)
    return 2 * (size - 1) if is_half else size
