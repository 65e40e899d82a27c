"""E4M3 and E5M2: numbers of 8 bits, of which a register holds two.

Both round to nearest even, and numbers beyond the largest one become it. E4M3 has no infinities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pluginkit.ptx.types import F32, U8, U16, Array, Value


@dataclass(frozen=True)
class Float8:
    """A format.

    Attributes:
        mantissa_bits: how many bits of the mantissa are stored.
        bias: of the exponent.
        largest: the bits of the largest finite number; the positive ones beyond it are NaN, but for
            ``infinity``.
        infinity: the bits of infinity; None without one.
    """

    mantissa_bits: int
    bias: int
    largest: int
    infinity: int | None = None

    @cached_property
    def _numbers(self) -> Array:
        """The number of each byte, in float32."""
        magnitude = np.arange(256) & 0x7F
        exponent, mantissa = np.divmod(magnitude, 1 << self.mantissa_bits)
        mantissa += np.where(exponent > 0, 1 << self.mantissa_bits, 0)
        number = np.ldexp(mantissa, np.maximum(exponent, 1) - self.bias - self.mantissa_bits)
        number[magnitude > self.largest] = np.nan
        if self.infinity is not None:
            number[magnitude == self.infinity] = np.inf
        signed: Array = np.where(np.arange(256) < 128, number, -number).astype(F32)
        return signed

    @cached_property
    def _borders(self) -> Array:
        """The numbers halfway between adjacent positive ones."""
        positive = self._numbers[: self.largest + 1]
        halfway: Array = (positive[:-1] + positive[1:]) / 2
        return halfway

    def widened(self, bits: Value) -> Value:
        """Return the numbers of bytes, in float32."""
        return self._numbers[bits]

    def narrowed(self, x: Value) -> Value:
        """Return the bytes of float32 numbers, in 16 bits; NaN is 0x7F."""
        borders, magnitude = self._borders, np.abs(x)
        below = np.searchsorted(borders, magnitude)
        is_tie = borders[np.minimum(below, len(borders) - 1)] == magnitude
        nearest = below + (is_tie & (below % 2 == 1))
        bits = np.where(np.isnan(x), 0x7F, nearest | np.where(np.signbit(x), 0x80, 0))
        return bits.astype(U16)


#: The formats by PTX's names.
FORMATS = {"e4m3": Float8(3, 7, 0x7E), "e5m2": Float8(2, 15, 0x7B, 0x7C)}


def pair(upper: Value, lower: Value) -> Value:
    """Return a register of two bytes."""
    return upper << U16.type(8) | lower


def parts(register: Value) -> tuple[Value, Value]:
    """Return the upper and the lower byte of a register."""
    return (register >> U16.type(8)).astype(U8), register.astype(U8)
