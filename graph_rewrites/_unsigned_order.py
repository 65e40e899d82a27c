"""Order, divide and convert uint64 on the int64 of the same bits, and find remainders."""

from __future__ import annotations

import numpy as np

from pluginkit.onnx import CarriedNode

#: Operators whose operands, and results of the same type, are shifted by 2^63 into order.
SHIFTED = frozenset(
    {
        *("ArgMax", "ArgMin", "Clip", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max"),
        *("Min", "ReduceMax", "ReduceMin", "TopK"),
    }
)
DIVIDED = frozenset({"Div", "Mod"})
#: Operators that leave unsigned numbers as they are, or tell those that are not 0.
KEPT = frozenset({"Abs", "Relu", "Sign"})
_LOWEST = np.int64(-(2**63))


def shifted(node: CarriedNode, value: str) -> str:
    """Return the bits minus 2^63: int64 in the order of the uint64; and back again."""
    return node.add("Add", value, node.constant(_LOWEST)) if value else value


def divided(node: CarriedNode, value: str, divisor: str) -> tuple[str, str]:
    """Return quotient and remainder.

    Half of the value fits int64. Twice its quotient is at most one too small. A divisor from 2^63
    on goes into the value once or not at all.
    """
    zero, one, two = (node.constant(np.int64(each)) for each in (0, 1, 2))
    is_large = node.add("Less", divisor, zero)
    half = node.add("Div", node.add("Sub", value, node.add("Mod", value, two)), two)
    quarter = node.constant(np.int64(2**62))
    above = node.add("Add", node.add("Add", half, quarter), quarter)
    positive = node.add("Where", node.add("Less", value, zero), above, half)
    small = node.add("Where", is_large, one, divisor)
    doubled = node.add("Mul", node.add("Div", positive, small), two)
    first = node.add("Where", is_large, zero, doubled)
    rest = node.add("Sub", value, node.add("Mul", first, divisor))
    fits = node.add("Not", node.add("Less", shifted(node, rest), shifted(node, divisor)))
    extra = node.add("Cast", fits, to="int64")
    quotient = node.add("Add", first, extra)
    return quotient, node.add("Sub", rest, node.add("Mul", extra, divisor))


def converted(node: CarriedNode, value: str, target: str) -> str:
    """Return a floating-point number, or whether the bits are not all 0."""
    if target == "bool":
        return node.add("Cast", value, to=target)
    wide = node.add("Cast", value, to="float32")
    above = node.add("Add", wide, node.constant(np.float32(2.0**64)))
    is_large = node.add("Less", value, node.constant(np.int64(0)))
    return node.add("Where", is_large, above, wide)


def bits_of(node: CarriedNode, value: str, source: str) -> str:
    """Return the bits of the uint64 that a floating-point number becomes."""
    half = node.constant(np.float64(2.0**63) if source == "float64" else np.float32(2.0**63))
    wide = value if source in ("float32", "float64") else node.add("Cast", value, to="float32")
    is_large = node.add("Not", node.add("Less", wide, half))
    below = node.add("Where", is_large, node.add("Sub", wide, half), wide)
    low = node.add("Cast", below, to="int64")
    return node.add("Where", is_large, shifted(node, low), low)


def remainder(node: CarriedNode, value: str, modulus: str) -> str:
    """Return the remainder of a division by a positive number, which is not negative.

    Before opset 10, which has Mod, it follows from quotients, which are rounded towards zero.
    """
    if node.opset >= 10:
        return node.add("Mod", value, modulus)
    for shift in (False, True):
        whole = node.add("Add", value, modulus) if shift else value
        multiple = node.add("Mul", node.add("Div", whole, modulus), modulus)
        value = node.add("Sub", whole, multiple)
    return value
