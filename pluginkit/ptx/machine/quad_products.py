"""``mma.m8n8k4`` of float16: four products of 8 x 4 by 4 x 8 matrices in a warp.

Lanes 4 q to 4 q + 3 and those 16 above them hold the matrices of product q.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.effects.matrix_operations import QuadProducts
from pluginkit.ptx.types import F32, F64, U16, U32, Array

_LANES = 32
_LANE = np.arange(_LANES)[:, None]
#: The lane in its group of four, and the upper half of rows or columns.
_NEAR, _FAR = _LANE % 4, _LANE // 16 * 4


def _places(operand: str, layout: str, kind: str) -> tuple[Array, Array]:
    """Return the rows and columns of the elements that each lane holds: (32, elements)."""
    if operand == "sum":
        element = np.arange(8)[None]
        if kind == "f16":
            return np.broadcast_arrays(_NEAR + _FAR, element)  # type: ignore[return-value]
        rows = (_LANE & 1) + (element & 2) + _FAR
        return rows, (element & 4) + (_LANE & 2) + (element & 1)
    element = np.arange(4)[None]
    is_along_lanes = (operand == "a") == (layout == "row")
    outer, inner = (_NEAR + _FAR, element) if is_along_lanes else (element + _FAR, _NEAR)
    outer, inner = np.broadcast_arrays(outer, inner)
    return (outer, inner) if operand == "a" else (inner, outer)


def _elements(registers: Sequence[Array], kind: str) -> Array:
    """Return the numbers that each lane holds: (warps, 32, elements)."""
    words = np.stack(registers, axis=-1)
    numbers = words.view(F32) if kind == "f32" else floats.float32_from_half(words.view(U16))
    return numbers.reshape(-1, _LANES, numbers.shape[-1]).astype(F64)


def multiply_quads(operation: QuadProducts, values: Sequence[Array]) -> list[Array]:
    """Return the registers of ``a @ b + c``, for each group of lanes."""
    left, matrices = iter(values), []
    for operand, layout, kind, count, shape in zip(
        ("a", "b", "sum"), (*operation.layouts, ""), ("f16", "f16", operation.kinds[0]),
        operation.counts, ((8, 4), (4, 8), (8, 8)), strict=True,
    ):  # fmt: skip
        numbers = _elements([next(left).view(U32) for _ in range(count)], kind)
        matrix = np.zeros((len(numbers), 4, *shape))
        matrix[(slice(None), _LANE // 4 % 4, *_places(operand, layout, kind))] = numbers
        matrices.append(matrix)
    a, b, c = matrices
    total, kind = a @ b + c, operation.kinds[1]
    held = total[(slice(None), _LANE // 4 % 4, *_places("sum", "", kind))]
    flat = held.reshape(-1, held.shape[-1])
    if kind == "f32":
        bits = np.where(np.isnan(flat), U32.type(0x7FFFFFFF), flat.astype(F32).view(U32))
        return [np.ascontiguousarray(each).view(F32) for each in bits.T]
    words = np.ascontiguousarray(floats.half_from_float(flat)).view(U32)
    return [np.ascontiguousarray(each) for each in words.T]
