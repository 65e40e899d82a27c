"""Run the operations of whole warps on matrices: products, loads and stores.

:mod:`pluginkit.ptx.effects.matrix_operations` says how the lanes of a warp hold a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.code.frame import Frame
from pluginkit.ptx.effects.matrix_operations import HeldMatrix, MatrixAccess, MatrixProduct
from pluginkit.ptx.effects.state_spaces import space_of
from pluginkit.ptx.effects.warp_operation import WarpOperation
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.operations import float8
from pluginkit.ptx.types import DTYPES, F32, F64, S8, S32, S64, U8, U16, U32, U64, Array

_SIDE, _LANES = 8, 32
#: The address of a matrix that ``wmma`` accesses is a multiple of so many bytes, and so is the
#: distance of its rows; or of those that a lane holds, if these are fewer.
_ADDRESS_BYTES, _STRIDE_BYTES = 32, 16


@dataclass(frozen=True)
class _Kind:
    """A type of elements.

    Attributes:
        bits: the numpy type of the bits of one.
        in_lane: how many a lane has of a block, in a factor.
        in_byte: how many a byte has; 1 for larger ones, too.
        widened: the numbers of bits, in float64, which holds all of them.
        narrowed: the bits of sums; factors have none.
    """

    bits: np.dtype[Any]
    in_lane: int
    widened: Callable[[Array], Array]
    narrowed: Callable[[Array], Array] = np.array
    in_byte: int = 1


def _float32_bits(total: Array) -> Array:
    return np.where(np.isnan(total), U32.type(0x7FFFFFFF), total.astype(F32).view(U32))


_KINDS = {
    "f16": _Kind(U16, 2, floats.float32_from_half, floats.half_from_float),
    "bf16": _Kind(U16, 2, floats.float32_from_bf16),
    "tf32": _Kind(U32, 1, lambda bits: (bits & U32.type(0xFFFFE000)).view(F32)),
    "s8": _Kind(U8, 4, lambda bits: bits.view(S8)),
    "u8": _Kind(U8, 4, lambda bits: bits),
    "s4": _Kind(U8, 8, lambda bits: (bits ^ U8.type(8)).view(S8) - S8.type(8), in_byte=2),
    "u4": _Kind(U8, 8, lambda bits: bits, in_byte=2),
    **{name: _Kind(U8, 4, each.widened) for name, each in float8.FORMATS.items()},
    "f32": _Kind(U32, 1, lambda bits: bits.view(F32), _float32_bits),
    "s32": _Kind(U32, 1, lambda bits: bits.view(S32), lambda total: total.astype(S64).astype(U32)),
    "f64": _Kind(U64, 1, lambda bits: bits.view(F64), lambda total: total.view(U64)),
}


class _Layout:
    """How registers hold a matrix: in blocks, of which each lane has an array of elements."""

    def __init__(self, held: HeldMatrix) -> None:
        self.kind, self._held = _KINDS[held.kind], held
        self._in_lane = 2 if held.is_sum else self.kind.in_lane
        self._width = self._in_lane * _SIDE // 2
        self._register = DTYPES[held.register]

    def blocks_of_registers(self, registers: Sequence[Array]) -> list[Array]:
        """Return what registers hold, for each block (threads, elements)."""
        count = self._held.rows * self._held.columns // (_SIDE * self._width)
        each = self._in_lane * self.kind.bits.itemsize // self._register.itemsize
        each //= self.kind.in_byte
        return [
            self._unpacked(np.stack(registers[at : at + each], axis=-1).view(self.kind.bits))
            for at in range(0, count * each, each)
        ]

    def _unpacked(self, elements: Array) -> Array:
        """Give each element of 4 bits a byte of its own, the lower one first."""
        if self.kind.in_byte == 1:
            return elements
        both = np.stack([elements & U8.type(15), elements >> U8.type(4)], axis=-1)
        return both.reshape(len(elements), -1)

    def registers(self, blocks: Iterable[Array]) -> list[Array]:
        """Return the registers that hold blocks."""
        return [
            np.ascontiguousarray(register)
            for block in blocks
            for register in np.ascontiguousarray(block).view(self._register).T
        ]

    def matrices(self, blocks: Sequence[Array]) -> Array:
        """Return each warp's matrix: (warps, rows, columns)."""
        high = self._held.rows // _SIDE
        squares = [block.reshape(-1, _SIDE, self._width) for block in blocks]
        columns = [
            np.concatenate(squares[at : at + high], axis=1) for at in range(0, len(squares), high)
        ]
        return np.concatenate(columns, axis=2)

    def blocks(self, matrices: Array) -> Iterator[Array]:
        """Yield the blocks of each warp's matrix."""
        for column in range(0, self._held.columns, self._width):
            for row in range(0, self._held.rows, _SIDE):
                block = matrices[:, row : row + _SIDE, column : column + self._width]
                yield np.ascontiguousarray(block).reshape(-1, self._in_lane)


def multiply(operation: MatrixProduct, values: Sequence[Array]) -> list[Array]:
    """Return the registers of ``a @ b + c``.

    Every element is rounded once. A GPU sums in another way: see :mod:`pluginkit.ptx`.

    Args:
        operation: the product.
        values: the registers of ``a``, of ``b``, and of ``c``.
    """
    left, factors = iter(values), []
    for held, count in zip(operation.held, operation.counts, strict=False):
        layout = _Layout(held)
        bits = layout.matrices(layout.blocks_of_registers([next(left) for _ in range(count)]))
        factors.append(layout.kind.widened(bits).astype(F64))
    a, b, c = factors
    total = a @ b.swapaxes(1, 2) + c
    if operation.instruction.has("satfinite"):
        total = np.clip(total, np.iinfo(S32).min, np.iinfo(S32).max)
    layout = _Layout(operation.held[3])
    return layout.registers(layout.blocks(layout.kind.narrowed(total)))


def load_matrix(operation: MatrixAccess, frame: Frame, values: Sequence[Array]) -> list[Array]:
    """Load a matrix from its address, with a stride between rows or columns."""
    layout, access = _Layout(operation.held), _access(operation)
    loaded = layout.registers(
        np.stack([frame.machine.memory.load(access, frame.ids, at)[0] for at in block], axis=-1)
        for block in _addresses(operation, layout, frame, values)
    )
    # Small matrices of float16 have more registers than they need.
    return [loaded[index % len(loaded)] for index in range(len(operation.puts))]


def store_matrix(operation: MatrixAccess, frame: Frame, values: Sequence[Array]) -> list[Array]:
    """Store a matrix at its address, with a stride between rows or columns; returns nothing."""
    layout, access = _Layout(operation.held), _access(operation)
    blocks = layout.blocks_of_registers(values[2:])
    for block, addresses in zip(blocks, _addresses(operation, layout, frame, values), strict=True):
        for index, at in enumerate(addresses):
            stored = [np.ascontiguousarray(block[:, index])]
            frame.machine.memory.store(access, frame.ids, at, stored)
    return []


def _access(operation: MatrixAccess) -> MemoryAccess:
    instruction = operation.instruction
    return MemoryAccess(instruction, space_of(instruction), _KINDS[operation.held.kind].bits)


def _addresses(
    operation: MatrixAccess, layout: _Layout, frame: Frame, values: Sequence[Array]
) -> Iterator[list[Array]]:
    """Yield for each block the addresses of its elements, each an array over the threads."""
    held, size = operation.held, layout.kind.bits.itemsize
    start, stride = (each.astype(U64) for each in values[:2])
    _check(operation, frame, start, stride * U64.type(size))
    places = np.arange(held.rows * held.columns).reshape(1, held.rows, held.columns)
    for block in layout.blocks(places):
        found = []
        for place in np.tile(block, (frame.size // _LANES, 1)).T.astype(U64):
            far, near = np.divmod(place, U64.type(held.columns))
            if not operation.is_along_rows:
                far, near = near, far
            found.append(start + (far * stride + near) * U64.type(size))
        yield found


def _check(operation: MatrixAccess, frame: Frame, start: Array, pitch: Array) -> None:
    """Report warps whose lanes differ in what they give, and matrices that are not aligned."""
    for what, given in (("addresses", start), ("strides", pitch)):
        is_mixed = given != np.repeat(given[::_LANES], _LANES)
        if is_mixed.any():
            frame.machine.report(
                "warp", operation.instruction, frame.ids[is_mixed],
                f"lanes of a warp give different {what} of a matrix",
            )  # fmt: skip
    registers = len(operation.puts) or len(operation.sources) - 2
    held = registers * DTYPES[operation.held.register].itemsize
    for what, given, most in (
        ("at an address that is", start, _ADDRESS_BYTES),
        ("with a stride in bytes that is", pitch, _STRIDE_BYTES),
    ):
        needed = min(most, held)
        is_odd = given & U64.type(needed - 1) != 0
        if is_odd.any():
            frame.machine.report(
                "misaligned", operation.instruction, frame.ids[is_odd],
                f"a matrix is accessed {what} no multiple of {needed}",
            )  # fmt: skip


def load_rows(operation: WarpOperation, frame: Frame, values: Sequence[Array]) -> list[Array]:
    """``ldmatrix``: each lane gives the address of a row of 16 bytes of one of the matrices."""
    instruction, count = operation.instruction, len(operation.puts)
    access = MemoryAccess(instruction, space_of(instruction), U32, _SIDE * 2 // U32.itemsize)
    rows = np.arange(frame.size).reshape(-1, _LANES)[:, : _SIDE * count].reshape(-1)
    loaded = frame.machine.memory.load(access, frame.ids[rows], values[0][rows])
    words = np.stack(loaded, axis=-1).view(U16).reshape(-1, count, _SIDE, _SIDE)
    if instruction.has("trans"):
        words = words.swapaxes(2, 3)
    each = np.ascontiguousarray(words.transpose(1, 0, 2, 3)).reshape(count, -1)
    return list(each.view(U32))
