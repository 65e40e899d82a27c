"""What division.cuh gets of a number."""

from __future__ import annotations

from pluginkit import Dim, Scalar, dim_max, dim_min, int64, known


def divisor_numbers(count: Dim) -> tuple[Dim, Dim]:
    """Return the numbers of the kernel's Divisor; of 0 those of 1, since nothing is divided.

    The factor is 2^31 times the next power of two over the number, rounded up by less than 1: below
    2^31 quotients are exact. Larger numbers are divided without it.
    """
    count = known(dim_max(count, 1))
    divisor = known(dim_min(count, 2**31))
    shift = (divisor - 1).bit_length()
    return count, (2 ** (31 + shift) - 1) // divisor + 1 + shift * 2**32


def divisor_of(count: Dim) -> Scalar:
    """Return the kernel's Divisor."""
    return int64(divisor_numbers(count))
