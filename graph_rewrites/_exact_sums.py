"""Add up products of 8-bit integers exactly in float32.

The difference of an 8-bit integer and its zero point has 9 bits, which float32 and TF32 represent
exactly. float32 adds up 258 products of two such differences without rounding. Longer sums are
split into parts of that length, which are added in int32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.onnx import Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The number of products that float32 adds up without rounding.
EXACT_PRODUCTS = 2**24 // 255**2
#: The types of quantized values.
QUANTIZED = ("uint8", "int8")


@dataclass(frozen=True)
class Quantized:
    """A tensor of 8-bit integers and its zero point, which may be absent."""

    value: gs.Tensor
    zero_point: gs.Tensor | None


@dataclass(frozen=True)
class Sums:
    """The sums of products that the output consists of.

    Attributes:
        length: the number of terms: products, or input channels of a convolution.
        exact: how many of these terms float32 adds up exactly.
    """

    length: int
    exact: int


def add_parts(new: Replacement, sums: Sums, part: Callable[[int, int], gs.Variable]) -> gs.Variable:
    """Add up, in int32, the float32 sums that ``part`` returns for ranges of terms."""
    total = None
    for start in range(0, sums.length, sums.exact):
        end = min(start + sums.exact, sums.length)
        exact = new.add("Cast", part(start, end), to="int32")
        total = exact if total is None else new.add("Add", total, exact)
    return total
