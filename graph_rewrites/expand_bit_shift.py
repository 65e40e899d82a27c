"""BitShift, which TensorRT lacks, becomes products and quotients of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.graph_rewrites._types import INTEGERS, NO_INTEGER
from pluginkit.onnx import Match, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto

#: Of each type how many bits it has, whether it is signed, and a type that holds products.
_BITS: dict[int, tuple[int, bool, int]] = {
    _T.UINT8: (8, False, _T.INT32),
    _T.INT8: (8, True, _T.INT32),
    _T.INT32: (32, True, _T.INT64),
    _T.INT64: (64, True, _T.INT64),
}


class ExpandBitShift(Rewrite):
    """BitShift(x, n) -> x * 2^n modulo 2^bits (LEFT), floor(x / 2^n) (RIGHT).

    For uint8, int8, int32 and int64; a shift by all bits or more, or by a
    negative count, leaves none, as opset 28 has it. 8 bits are computed
    in int32 and 32 in int64, so that nothing overflows; int64 shifted to the left relies on
    products that wrap around, as CUDA's do.
    """

    pattern = "BitShift"

    def check(self, match: Match) -> str | None:
        """The type must be one that TensorRT computes with."""
        if match.elem_type(match.inputs[0]) not in INTEGERS:
            return NO_INTEGER
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Powers of two come from a table; quotients of negative numbers are those of ~x."""
        elem_type = match.elem_type(match.inputs[0])
        new = Replacement(match)
        x, count = (new.cast(each, _BITS[elem_type][2]) for each in match.inputs)
        is_left = match.attribute("direction") == "LEFT"
        y = (_shift_left if is_left else _shift_right)(new, x, count, elem_type)
        return new.end("Cast", y, to=elem_type)


def _shift_left(new: Replacement, x: Value, count: Value, elem_type: int) -> Value:
    bits, is_signed, wide = _BITS[elem_type]
    powers = [2**each for each in range(bits - 1)]
    powers += [-(2**63) if bits == 64 else 2 ** (bits - 1), 0]
    product = new.add("Mul", x, _power(new, powers, count, wide))
    if bits == 64:
        return product
    dtype = onnx.helper.tensor_dtype_to_np_dtype(wide)
    modulus, half = dtype.type(2**bits), dtype.type(2 ** (bits - 1))
    if not is_signed:
        return new.add("Mod", product, modulus)
    return new.add("Sub", new.add("Mod", new.add("Add", product, half), modulus), half)


def _shift_right(new: Replacement, x: Value, count: Value, elem_type: int) -> Value:
    bits, is_signed, wide = _BITS[elem_type]
    if not is_signed:
        return new.add("Div", x, _power(new, [2**n for n in range(bits + 1)], count, wide))
    minus_one = np.array(-1, onnx.helper.tensor_dtype_to_np_dtype(wide))
    is_negative = new.add("Less", x, minus_one + 1)
    y = new.add("Where", is_negative, new.add("Sub", minus_one, x), x)
    y = new.add("Div", y, _power(new, [2**n for n in range(bits - 1)], count, wide))
    y = new.add("Div", y, _power(new, [1] * (bits - 1) + [2], count, wide))  # the last bit's
    return new.add("Where", is_negative, new.add("Sub", minus_one, y), y)


def _power(new: Replacement, table: list[int], count: Value, wide: int) -> Value:
    """The table's entry for each count, the last one for all others."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(wide)
    last = dtype.type(len(table) - 1)
    is_negative = new.add("Less", count, dtype.type(0))
    index = new.add("Where", is_negative, last, new.add("Min", count, last))
    return new.add("Gather", np.array(table, dtype), index, axis=0)
