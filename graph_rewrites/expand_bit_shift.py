"""Turn BitShift, which TensorRT lacks, into products and quotients of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import INTEGERS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: For each type its number of bits, whether it is signed, and a type that holds the products.
_BITS: dict[str, tuple[int, bool, str]] = {
    "uint8": (8, False, "int32"),
    "int8": (8, True, "int32"),
    "int32": (32, True, "int64"),
    "int64": (64, True, "int64"),
}


class ExpandBitShift(Rewrite):
    """BitShift(x, n) -> x * 2^n modulo 2^bits (LEFT), floor(x / 2^n) (RIGHT).

    For uint8, int8, int32 and int64. A shift by all bits or more, or by a negative count, leaves no
    bits, as opset 28 defines it. 8 bits are computed in int32 and 32 in int64, so that nothing
    overflows; a left shift of int64 relies on products that wrap around, as CUDA's do.
    """

    pattern = Op("BitShift", "x", "count")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(INTEGERS, x)

    def rewrite(self, match: Match, x: gs.Tensor, count: gs.Tensor) -> list[gs.Node]:
        dtype = match.dtype(x)
        new = Replacement(match)
        wide, wide_count = (new.cast(each, _BITS[dtype][2]) for each in (x, count))
        shift = _shift_left if match.attribute("direction") == "LEFT" else _shift_right
        return new.end("Cast", shift(new, wide, wide_count, dtype), to=dtype)


def _shift_left(new: Replacement, x: NodeInput, count: NodeInput, dtype: str) -> NodeInput:
    bits, is_signed, wide = _BITS[dtype]
    powers = [2**each for each in range(bits - 1)]
    powers += [-(2**63) if bits == 64 else 2 ** (bits - 1), 0]
    product = new.add("Mul", x, _power(new, powers, count, wide))
    if bits == 64:
        return product
    number = np.dtype(wide).type
    modulus, half = number(2**bits), number(2 ** (bits - 1))
    if not is_signed:
        return new.add("Mod", product, modulus)
    return new.add("Sub", new.add("Mod", new.add("Add", product, half), modulus), half)


def _shift_right(new: Replacement, x: NodeInput, count: NodeInput, dtype: str) -> NodeInput:
    """Divide by a power of two; a negative x is shifted as ~(~x >> n)."""
    bits, is_signed, wide = _BITS[dtype]
    if not is_signed:
        return new.add("Div", x, _power(new, [2**n for n in range(bits + 1)], count, wide))
    minus_one = np.array(-1, wide)
    is_negative = new.add("Less", x, minus_one + 1)
    y = new.add("Where", is_negative, new.add("Sub", minus_one, x), x)
    y = new.add("Div", y, _power(new, [2**n for n in range(bits - 1)], count, wide))
    # The table ends one power short, so that no power overflows: a shift by all bits divides again.
    y = new.add("Div", y, _power(new, [1] * (bits - 1) + [2], count, wide))
    return new.add("Where", is_negative, new.add("Sub", minus_one, y), y)


def _power(new: Replacement, table: list[int], count: NodeInput, wide: str) -> NodeInput:
    """Return the table's entry for each count; its last entry for counts outside of it."""
    number = np.dtype(wide).type
    last = number(len(table) - 1)
    is_negative = new.add("Less", count, number(0))
    index = new.add(
        "Where", new.add("Less", count, last), count, last
    )  # Min has no int64 before 12
    index = new.add("Where", is_negative, last, index)
    return new.add("Gather", np.array(table, wide), index, axis=0)
