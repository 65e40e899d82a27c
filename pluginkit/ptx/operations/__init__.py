"""What each instruction computes, by family; every module registers its opcodes.

A :class:`Compute` describes an instruction that only computes: a function of numpy values, with the
PTX types of its sources and its result.
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
