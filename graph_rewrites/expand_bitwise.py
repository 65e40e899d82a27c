"""Turn BitwiseAnd, BitwiseOr and BitwiseXor, which TensorRT lacks, into And, Or and Xor of bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import INTEGERS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: For each type its number of bits without the sign, its least value, and the type to compute in.
_BITS: dict[str, tuple[int, int, str]] = {
    "uint8": (8, 0, "int32"),
    "int8": (7, -(2**7), "int32"),
    "int32": (31, -(2**31), "int32"),
    "int64": (63, -(2**63), "int64"),
}


class ExpandBitwise(Rewrite):
    """BitwiseAnd(a, b) -> the sum of 2^i where And(bit i of a, bit i of b); Or, Xor likewise.

    For uint8, int8, int32 and int64, without overflow. The bits get an axis, so that the work, and
    the memory if TensorRT does not fuse the nodes, is that of 8 to 64 times as many elements.
    """

    pattern = Op(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), "a", "b")

    def check(self, match: Match, a: gs.Tensor) -> str | None:
        return match.dtype_problem(INTEGERS, a)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        """Make the nodes; the sign is a separate case, because no quotient gives it."""
        dtype = match.dtype(a)
        logical = match.node.op.removeprefix("Bitwise")
        bits, least, wide = _BITS[dtype]
        number = np.dtype(wide).type
        powers = np.array([2**bit for bit in range(bits)], number)
        weights = powers
        if least:  # one more column, of weight 0, makes the number of columns a power of two
            powers, weights = np.append(powers, number(1)), np.append(powers, number(0))
        new = Replacement(match)
        columns, signs = [], []
        for each in (a, b):
            value: NodeInput = new.cast(each, wide)
            if least:
                signs.append(new.add("Less", value, number(0)))
                positive = new.add("Sub", value, number(least))
                value = new.add("Where", signs[-1], positive, value)
            column = new.add("Div", new.unsqueeze(value, [-1]), powers)
            columns.append(new.add("Cast", new.add("Mod", column, number(2)), to="bool"))
        ones = new.add("Cast", new.add(logical, *columns), to=wide)
        y = _summed(new, new.add("Mul", ones, weights), len(weights))
        if least:
            y = new.add("Where", new.add(logical, *signs), new.add("Add", y, number(least)), y)
        return new.end("Cast", y, to=dtype)


def _summed(new: Replacement, terms: gs.Variable, count: int) -> gs.Variable:
    """Add up the last axis, which has ``count`` elements, a power of two.

    Additions are used because TensorRT computes some reductions of int64 in floating point.
    """
    while count > 1:
        count //= 2
        halves = (new.slice(terms, -1, start, start + count) for start in (0, count))
        terms = new.add("Add", *halves)
    return new.add("Squeeze", terms, np.array([-1], np.int64))
