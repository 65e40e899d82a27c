"""Turn DFT, which TensorRT lacks, into a product with the matrix of the transform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_LARGEST = 2**24


@dataclass(frozen=True)
class Transform:
    """The transform along one axis.

    Attributes:
        axis: the transformed axis, 0 or more.
        length: the number of points of the transform.
        size: the number of elements of the axis.
        parts: 1 if the input is real, 2 if it is complex.
        is_inverse: whether it is the inverse transform.
        is_onesided: whether only half of the spectrum is computed, or read.
    """

    axis: int
    length: int
    size: int
    parts: int
    is_inverse: bool
    is_onesided: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the matrix: [input elements, their parts, output elements, their parts].

        The inverse of half a spectrum has real outputs.
        """
        half = self.length // 2 + 1
        if self.is_inverse and self.is_onesided:
            return min(self.size, half), self.parts, self.length, 1
        made = half if self.is_onesided else self.length
        return min(self.size, self.length), self.parts, made, 2

    def matrix(self) -> npt.NDArray[np.float32]:
        """Return the matrix of the transform, of shape ``shape``."""
        rows, parts, columns, made = self.shape
        turns = np.outer(np.arange(rows), np.arange(columns)) % self.length / self.length
        angle = 2 * np.pi * turns * (1 if self.is_inverse else -1)
        cos, sin = np.cos(angle), np.sin(angle)
        matrix: npt.NDArray[Any] = np.stack(
            [np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1
        )
        if self.is_inverse:
            matrix = matrix / self.length
        if made == 1:  # all elements but the first and the middle one count for conjugates, too
            weights = np.where(np.arange(rows) * 2 % self.length == 0, 1, 2)
            matrix = matrix * weights[:, None, None, None]
        return matrix[:, :parts, :, :made].astype(np.float32)


class ExpandDft(Rewrite):
    """DFT(x) -> MatMul(x, matrix), the real and the imaginary parts side by side.

    The work grows with the square of the length; the matrix has at most 2**24 elements, enough for
    2048 complex numbers. Computed in float32, for float32, float16 and bfloat16, with the precision
    of TensorRT's products: with TF32 allowed, 10 bits. The sizes of the transformed axis and of the
    last one must be known, and the length and the axis stored in the model. ReplaceDft takes the
    longer ones, unless it is skipped.
    """

    pattern = Op("DFT", "x", Optional("length"), Optional("axis"))

    def check(
        self, match: Match, x: gs.Tensor, length: gs.Tensor | None, axis: gs.Tensor | None
    ) -> str | Transform:
        transform = transform_of(match, x, length, axis)
        if isinstance(transform, str):
            return transform
        elements = math.prod(transform.shape)
        if not 0 < elements <= _LARGEST:
            return f"its matrix would have {elements} elements; expected 1 to {_LARGEST}"
        return transform

    def rewrite(self, match: Match, x: gs.Tensor, facts: Transform) -> list[gs.Node]:
        """The transformed axis is moved next to the last one and back."""
        rank, axis = match.rank(x) or 0, facts.axis
        rows, parts, columns, made = facts.shape
        new = Replacement(match)
        value: NodeInput = new.cast(x, "float32")
        if rows < facts.size:
            value = new.slice(value, axis, 0, rows)
        order = [*range(rank)]
        order[axis], order[-2] = order[-2], order[axis]
        if axis != rank - 2:
            value = new.add("Transpose", value, perm=order)
        value = new.add("Reshape", value, np.array([0] * (rank - 2) + [rows * parts]))
        value = new.add("MatMul", value, facts.matrix().reshape(rows * parts, columns * made))
        value = new.add("Reshape", value, np.array([0] * (rank - 2) + [columns, made]))
        if axis != rank - 2:
            value = new.add("Transpose", value, perm=order)
        return new.end("Cast", value, to=match.dtype(x))


def transform_of(
    match: Match, x: gs.Tensor, length: gs.Tensor | None, axis: gs.Tensor | None
) -> str | Transform:
    """Return what a DFT computes, or why that is not known."""
    problem = match.dtype_problem(FLOATS, x)
    if problem is not None:
        return problem
    if any(each is not None and match.constant(each) is None for each in (length, axis)):
        return "the length or the axis is not stored in the model"
    shape = match.shape(x)
    along = None if shape is None else axis_of(match, axis, len(shape))
    size = None if shape is None or along is None else shape[along]
    if shape is None or along is None or size is None or shape[-1] is None:
        return "the size of the transformed axis, or of the last one, is unknown"
    is_inverse = match.attribute("inverse", False)
    is_onesided = match.attribute("onesided", False)
    points = 2 * (size - 1) if is_inverse and is_onesided else size
    if length is not None:
        points = int(np.asarray(match.constant(length)).item())
    return Transform(along, points, size, shape[-1], is_inverse, is_onesided)


def axis_of(match: Match, axis: gs.Tensor | None, rank: int) -> int:
    """Return the transformed axis: an input from opset 20 on, an attribute before."""
    if axis is not None:
        number = np.asarray(match.constant(axis)).item()
    else:
        number = match.attribute("axis", 1) if match.opset < 20 else -2
    return int(number) % rank
