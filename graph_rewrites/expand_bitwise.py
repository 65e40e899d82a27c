"""BitwiseAnd, BitwiseOr and BitwiseXor, which TensorRT lacks, become their logical namesakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._types import INTEGERS, NO_INTEGER
from pluginkit.onnx import Match, Op, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto

#: Of each type the bits beside the sign, the least number, and the type to work in.
_BITS: dict[int, tuple[int, int, int]] = {
    _T.UINT8: (8, 0, _T.INT32),
    _T.INT8: (7, -(2**7), _T.INT32),
    _T.INT32: (31, -(2**31), _T.INT32),
    _T.INT64: (63, -(2**63), _T.INT64),
}


class ExpandBitwise(Rewrite):
    """BitwiseAnd(a, b) -> the sum of 2^i where And(bit i of a, bit i of b); Or, Xor likewise.

    For uint8, int8, int32 and int64, without overflow. The bits get an axis of their own, so that
    the work and, where TensorRT does not fuse it, the memory is that of so many elements.
    """

    pattern = Op(("BitwiseAnd", "BitwiseOr", "BitwiseXor"))

    def check(self, match: Match) -> str | None:
        """The type must be one that TensorRT computes with."""
        if match.elem_type(match.inputs[0]) not in INTEGERS:
            return NO_INTEGER
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The sign, which no quotient gives, is treated apart."""
        elem_type = match.elem_type(match.inputs[0])
        logical = match.node.op.removeprefix("Bitwise")
        bits, least, wide = _BITS[elem_type]
        number = onnx.helper.tensor_dtype_to_np_dtype(wide).type
        powers = np.array([2**bit for bit in range(bits)], number)
        weights = powers
        if least:  # the sign's place, for the bits to be as many as a power of two
            powers, weights = np.append(powers, number(1)), np.append(powers, number(0))
        new = Replacement(match)
        columns, signs = [], []
        for each in match.inputs:
            value: Value = new.cast(each, wide)
            if least:
                signs.append(new.add("Less", value, number(0)))
                positive = new.add("Sub", value, number(least))
                value = new.add("Where", signs[-1], positive, value)
            column = new.add("Div", new.unsqueeze(value, [-1]), powers)
            columns.append(new.add("Cast", new.add("Mod", column, number(2)), to=_T.BOOL))
        ones = new.add("Cast", new.add(logical, *columns), to=wide)
        y = _summed(new, new.add("Mul", ones, weights), len(weights))
        if least:
            y = new.add("Where", new.add(logical, *signs), new.add("Add", y, number(least)), y)
        return new.end("Cast", y, to=elem_type)


def _summed(new: Replacement, terms: gs.Variable, count: int) -> gs.Variable:
    """The sum over the last axis, of ``count`` entries, a power of two.

    It is made of additions: reductions of int64 go through floating-point numbers in places.
    """
    while count > 1:
        count //= 2
        halves = (new.slice(terms, -1, start, start + count) for start in (0, count))
        terms = new.add("Add", *halves)
    return new.add("Squeeze", terms, np.array([-1], np.int64))
