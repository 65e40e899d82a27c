"""Expand the Det of small matrices, which TensorRT lacks, by minors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The largest matrices whose minors are spelled out.
LARGEST = 4


class ExpandDet(Rewrite):
    """Det(x) -> sum of (-1)^j x[..., 0, j] * minor(0, j).

    For matrices up to 4 x 4 of float32, float16 and bfloat16, computed in float32. Products beyond
    the range of float32 give infinities and NaN, where elimination with pivots may not.
    """

    pattern = Op("Det", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | int:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        size = (match.shape(x) or (None,))[-1]
        if size is None or not 1 <= size <= LARGEST:
            return f"its matrices are larger than {LARGEST} x {LARGEST}, or of unknown size"
        return size

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[gs.Node]:
        """A minor that several others need is computed once."""
        size = facts
        new = Replacement(match)
        wide = new.cast(x, "float32")
        rows = [new.add("Gather", wide, np.array(row), axis=-2) for row in range(size)]

        @cache
        def element(row: int, column: int) -> gs.Variable:
            return new.add("Gather", rows[row], np.array(column), axis=-1)

        @cache
        def minor(row: int, columns: tuple[int, ...]) -> gs.Variable:
            """Return the determinant of these columns of all rows from ``row`` on."""
            total = element(row, columns[0])
            if len(columns) == 1:
                return total
            total = new.add("Mul", total, minor(row + 1, columns[1:]))
            for at in range(1, len(columns)):
                others = minor(row + 1, columns[:at] + columns[at + 1 :])
                term = new.add("Mul", element(row, columns[at]), others)
                total = new.add("Sub" if at % 2 else "Add", total, term)
            return total

        return new.end("Cast", minor(0, tuple(range(size))), to=match.dtype(x))
