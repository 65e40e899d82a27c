"""Det of small matrices, which TensorRT lacks, is expanded by minors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._types import FLOATS, NO_FLOAT
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_LARGEST = 4


class ExpandDet(Rewrite):
    """Det(x) -> sum of (-1)^j x[..., 0, j] * minor(0, j).

    For matrices up to 4 x 4, in float32, of float32, float16 and bfloat16. Elements whose products
    exceed float32 give infinities and NaN where elimination with pivots may not.
    """

    pattern = "Det"

    def check(self, match: Match) -> str | None:
        """The matrices must be small."""
        (x,) = match.inputs
        if match.elem_type(x) not in FLOATS:
            return NO_FLOAT
        size = (match.shape(x) or (None,))[-1]
        if size is None or not 1 <= size <= _LARGEST:
            return f"its matrices are larger than {_LARGEST} x {_LARGEST}, or of unknown size"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """A minor that several others need is computed once."""
        (x,) = match.inputs
        size = (match.shape(x) or (0,))[-1] or 0
        new = Replacement(match)
        wide = new.cast(x, _T.FLOAT)
        rows = [new.add("Gather", wide, np.array(row), axis=-2) for row in range(size)]

        @cache
        def element(row: int, column: int) -> gs.Variable:
            return new.add("Gather", rows[row], np.array(column), axis=-1)

        @cache
        def minor(row: int, columns: tuple[int, ...]) -> gs.Variable:
            """The determinant of the rows from ``row`` on, and these columns."""
            total = element(row, columns[0])
            if len(columns) == 1:
                return total
            total = new.add("Mul", total, minor(row + 1, columns[1:]))
            for at in range(1, len(columns)):
                others = minor(row + 1, columns[:at] + columns[at + 1 :])
                term = new.add("Mul", element(row, columns[at]), others)
                total = new.add("Sub" if at % 2 else "Add", total, term)
            return total

        return new.end("Cast", minor(0, tuple(range(size))), to=match.elem_type(x))
