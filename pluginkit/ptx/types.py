"""PTX's types, and the numpy types that hold them.

A register is an unsigned integer array, except that ``.f32`` and ``.f64`` are float arrays and
``.pred`` is a bool array. Each instruction reinterprets the bits as its own type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: A number for each thread: an array, or a numpy scalar if all threads have the same.
Value = Any
#: What an instruction computes from its operands.
ComputeFunction = Callable[..., Value]
#: A grid, a block, or an index in one: x, y and z.
Three = tuple[int, int, int]

U8, U16, U32, U64 = (np.dtype(name) for name in ("u1", "u2", "u4", "u8"))
S8, S16, S32, S64 = (np.dtype(name) for name in ("i1", "i2", "i4", "i8"))
F16, F32, F64 = (np.dtype(name) for name in ("f2", "f4", "f8"))
PRED = np.dtype(bool)

#: The numpy type in which instructions of each PTX type compute. numpy has no bf16:
#: :mod:`pluginkit.ptx.floats` works on its bits.
DTYPES = {
    "pred": PRED,
    "b8": U8, "b16": U16, "b32": U32, "b64": U64,
    "u8": U8, "u16": U16, "u32": U32, "u64": U64,
    "u16x2": U32, "s16x2": U32,
    "s8": S8, "s16": S16, "s32": S32, "s64": S64,
    "f16": U16, "bf16": U16, "f16x2": U32, "bf16x2": U32, "tf32": U32,
    "f32": F32, "f64": F64,
    "e4m3x2": U16, "e5m2x2": U16,
}  # fmt: skip

UNSIGNED = {1: U8, 2: U16, 4: U32, 8: U64}
SIGNED = {1: S8, 2: S16, 4: S32, 8: S64}


def storage(name: str) -> np.dtype[Any]:
    """Return the numpy type of a register that is declared with a PTX type."""
    dtype = DTYPES[name]
    return UNSIGNED[dtype.itemsize] if dtype.kind == "i" else dtype


def is_signed(name: str) -> bool:
    """Whether a PTX type is a signed integer."""
    return name[0] == "s"


def is_float(name: str) -> bool:
    """Whether a PTX type holds floating-point numbers, packed ones included."""
    return name[0] == "f" or name[:2] in ("bf", "tf")
