"""Turn DFT of a length that only a run tells into a product with a matrix that the run makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites.expand_dft import axis_of
from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _Form:
    """The transformed axis, the parts of an input (1 if it is real), and the kind of transform."""

    axis: int
    parts: int
    is_inverse: bool
    is_onesided: bool

    @property
    def is_real(self) -> bool:
        """Whether the output is real: the inverse of half a spectrum."""
        return self.is_inverse and self.is_onesided


class ExpandDynamicDft(Rewrite):
    """DFT(x) of a dynamic length -> MatMul(x, Cos and Sin of Range * Range / length).

    The work grows with the square of the length, and so does the matrix, which each run makes.
    Computed in float32. ExpandDft takes a length that is known.
    """

    pattern = Op("DFT", "x", Optional("length"), Optional("axis"))

    def check(
        self, match: Match, x: gs.Tensor, length: gs.Tensor | None, axis: gs.Tensor | None
    ) -> str | _Form:
        if axis is not None and match.constant(axis) is None:
            return "its axis is not stored in the model"
        shape = match.shape(x)
        if shape is None or len(shape) < 3 or shape[-1] not in (1, 2):
            return "its input is not known to have three axes or more, and one part or two"
        along = axis_of(match, axis, len(shape))
        if along >= len(shape) - 1:
            return "its axis is that of the parts"
        is_stored = length is None or match.constant(length) is not None
        if shape[along] is not None and is_stored:
            return "its length is known: ExpandDft takes it"
        inverse, onesided = match.attribute("inverse", False), match.attribute("onesided", False)
        return match.dtype_problem(FLOATS, x) or _Form(along, shape[-1], inverse, onesided)

    def rewrite(
        self, match: Match, x: gs.Tensor, length: gs.Tensor | None, facts: _Form
    ) -> list[gs.Node]:
        new = Replacement(match)
        rank = match.rank(x) or 0
        value, order = new.cast(x, "float32"), [*range(rank)]
        order[facts.axis], order[-2] = order[-2], order[facts.axis]
        value = new.add("Transpose", value, perm=order)
        one, two = np.array([1], np.int64), np.array([2], np.int64)
        size = new.slice(new.add("Shape", value), 0, rank - 2, rank - 1)
        if length is not None:
            points = new.add("Reshape", new.cast(length, "int64"), one)
        elif facts.is_real:
            points = new.add("Mul", new.add("Sub", size, one), two)
        else:
            points = new.add("Identity", size)
        half = new.add("Add", new.add("Div", points, two), one)
        rows = new.add("Min", size, half if facts.is_real else points)
        made = half if facts.is_onesided and not facts.is_inverse else points
        cos, sin = _waves(new, facts, rows, made, points)
        read = new.add(
            "Slice", value, np.array([0], np.int64), rows, np.array([rank - 2], np.int64)
        )
        total = None
        for part in range(facts.parts):
            waves = [cos, sin] if part == 0 else [new.add("Neg", sin), cos]
            kept = [new.unsqueeze(each, [2]) for each in (waves[:1] if facts.is_real else waves)]
            matrix = new.add(
                "Reshape", new.add("Concat", *kept, axis=2), np.array([0, -1], np.int64)
            )
            numbers = new.squeeze(new.slice(read, rank - 1, part, part + 1), [rank - 1])
            product = new.add("MatMul", numbers, matrix)
            total = product if total is None else new.add("Add", total, product)
        sizes = np.array([0] * (rank - 2) + [-1, 1 if facts.is_real else 2], np.int64)
        value = new.add("Transpose", new.add("Reshape", total, sizes), perm=order)
        return new.end("Cast", value, to=match.dtype(x))


def _waves(
    new: Replacement, form: _Form, rows: gs.Variable, columns: gs.Variable, points: gs.Variable
) -> tuple[gs.Variable, gs.Variable]:
    """Return cosine and sine: [rows, columns], scaled where the transform is the inverse one."""

    def numbers(count: gs.Variable) -> gs.Variable:
        scalar = new.add("Reshape", count, np.zeros(0, np.int64))
        return new.add("Range", np.int64(0), scalar, np.int64(1))

    number = numbers(rows)
    product = new.add("Mul", new.unsqueeze(number, [1]), numbers(columns))
    whole = new.add("Mul", new.add("Div", product, points), points)
    length = new.add("Cast", points, to="float32")
    turns = new.add("Div", new.add("Cast", new.add("Sub", product, whole), to="float32"), length)
    angle = new.add("Mul", turns, np.float32(2 * np.pi if form.is_inverse else -2 * np.pi))
    waves = [new.add("Cos", angle), new.add("Sin", angle)]
    if not form.is_inverse:
        return waves[0], waves[1]
    share = new.add("Div", np.float32(1), length)
    if form.is_real:  # all elements but the first and the middle one count for conjugates, too
        double = new.add("Mul", number, np.array([2], np.int64))
        is_own = new.add("Equal", double, points)
        is_own = new.add("Or", is_own, new.add("Equal", number, np.array([0], np.int64)))
        share = new.add("Mul", share, new.add("Where", is_own, np.float32(1), np.float32(2)))
        share = new.unsqueeze(share, [1])
    return new.add("Mul", waves[0], share), new.add("Mul", waves[1], share)
