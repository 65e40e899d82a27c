"""What division.cuh gets of a number."""

from __future__ import annotations

from pluginkit import Dim, Scalar, dim_max, int64, known


def divisor_numbers(count: Dim) -> tuple[Dim, Dim]:
    """Return the numbers of the kernel's Divisor; of 0 those of 1, since nothing is divided."""
    count = known(dim_max(count, 1))
    return count, (2**32 - 1) // count


def divisor_of(count: Dim) -> Scalar:
    """Return the kernel's Divisor."""
    return int64(divisor_numbers(count))
