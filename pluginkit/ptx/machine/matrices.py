"""Operations of whole warps on matrices whose elements their lanes hold: ``mma``, ``ldmatrix``.

An 8 x 8 matrix of 16-bit numbers is a register of each lane: lane 4 i + j holds elements 2 j and
2 j + 1 of row i. One of tf32 has four columns, and lane 4 i + j holds element j.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.code.frame import Frame
from pluginkit.ptx.effects.state_spaces import space_of
from pluginkit.ptx.effects.synchronisation import WarpOperation
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.types import F32, F64, U16, U32, Array

_SIDE, _LANES = 8, 32


def multiply(values: list[Array], kind: str) -> list[Array]:
    """Return the registers of ``a @ b + c`` for 16 x k, k x 8 and 16 x 8 matrices.

    Every element is rounded once. A GPU sums in another way: see :mod:`pluginkit.ptx`.

    Args:
        values: four registers of ``a``, two of ``b``, which is transposed, and four of ``c``.
        kind: the type of ``a`` and ``b``: f16 or bf16, of which a register has two, or tf32.
    """
    factors = [_of_warps(_WIDENED[kind](each.view(U32)).astype(F64), each) for each in values[:6]]
    a = np.block([[factors[0], factors[2]], [factors[1], factors[3]]])
    b = np.concatenate(factors[4:], axis=2)
    pairs = [np.stack(values[at : at + 2], axis=-1) for at in (6, 8)]
    c = np.concatenate([_of_warps(pair, pair) for pair in pairs], axis=1)
    total = (a @ b.transpose(0, 2, 1) + c).astype(F32)
    total = np.where(np.isnan(total), np.uint32(0x7FFFFFFF).view(F32), total)
    upper, lower = (part.reshape(-1, 2) for part in (total[:, :_SIDE], total[:, _SIDE:]))
    return [upper[:, 0], upper[:, 1], lower[:, 0], lower[:, 1]]


#: The numbers that registers hold. The product does not read the last 13 bits of tf32.
_WIDENED: dict[str, Callable[[Array], Array]] = {
    "f16": lambda registers: floats.float32_from_half(registers.view(U16)),
    "bf16": lambda registers: floats.float32_from_bf16(registers.view(U16)),
    "tf32": lambda registers: (registers & np.uint32(0xFFFFE000)).view(F32),
}


def _of_warps(elements: Array, lanes: Array) -> Array:
    """Return for each warp the matrix of which each lane holds elements of a row."""
    return elements.reshape(len(lanes) // _LANES, _SIDE, -1)


def load_matrices(operation: WarpOperation, frame: Frame, addresses: Array) -> list[Array]:
    """Load a matrix for each destination; each lane gives the address of a row of one of them."""
    instruction, count = operation.instruction, len(operation.puts)
    access = MemoryAccess(instruction, space_of(instruction), U32, _SIDE * 2 // U32.itemsize)
    rows = np.arange(frame.size).reshape(-1, _LANES)[:, : _SIDE * count].reshape(-1)
    loaded = frame.machine.memory.load(access, frame.ids[rows], addresses[rows])
    words = np.stack(loaded, axis=-1).view(U16).reshape(-1, count, _SIDE, _SIDE)
    if instruction.has("trans"):
        words = words.swapaxes(2, 3)
    each = np.ascontiguousarray(words.transpose(1, 0, 2, 3)).reshape(count, -1)
    return list(each.view(U32))
