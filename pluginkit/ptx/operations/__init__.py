"""What each instruction computes, by family; every module registers the opcodes that it knows.

An instruction that only computes is described by a :class:`Compute`: a function of numpy values,
with the PTX types of what it takes and gives.
"""

from __future__ import annotations

from pluginkit.ptx.operations import (
    bits,
    compare,
    convert,
    floating,
    half,
    integer,
    packed,
)
from pluginkit.ptx.operations.registry import Compute, compute_of

__all__ = [
    "Compute",
    "bits",
    "compare",
    "compute_of",
    "convert",
    "floating",
    "half",
    "integer",
    "packed",
]
