"""What division.cuh gets of a number."""

from __future__ import annotations

from pluginkit import Dim, Scalar, dim_max, int64, known


def divisor_of(count: Dim) -> Scalar:
    """Return the kernel's Divisor; of 0 that of 1, since then nothing is divided."""
    count = known(dim_max(count, 1))
    return int64((count, (2**32 - 1) // count))
