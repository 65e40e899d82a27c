"""Decode the operations of whole warps on matrices: ``mma``, ``wmma`` and ``ldmatrix``.

The lanes of a warp hold a matrix in blocks of eight rows: lane 4 i + j holds the j-th quarter of
row i of each block. ``mma`` prescribes that; of ``wmma`` nothing is specified. The second factor is
held transposed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.warp_operation import ALL_LANES, WarpOperation
from pluginkit.ptx.text.syntax import Immediate, Instruction, items_of

#: The types that sums may have, for each type of the factors.
_SUMS = {
    "f16": ("f16", "f32"), "bf16": ("f32",), "tf32": ("f32",), "s8": ("s32",), "u8": ("s32",),
    "f64": ("f64",), "e4m3": ("f32",), "e5m2": ("f32",), "s4": ("s32",), "u4": ("s32",),
}  # fmt: skip
#: The types of which the factors may have one each.
_MIXED = ({"s8", "u8"}, {"e4m3", "e5m2"}, {"s4", "u4"})
_TYPES = {*_SUMS, "f32", "s32"}
_LARGE = ("m16n16k16", "m8n32k16", "m32n8k16")
#: The shapes that the machine knows, for each type of the factors.
_SHAPES = {
    "mma": {
        "f16": ("m16n8k8", "m16n8k16"), "bf16": ("m16n8k8", "m16n8k16"),
        "tf32": ("m16n8k4", "m16n8k8"),
        "s8": ("m8n8k16", "m16n8k16", "m16n8k32"), "u8": ("m8n8k16", "m16n8k16", "m16n8k32"),
        "f64": ("m8n8k4", "m16n8k4", "m16n8k8", "m16n8k16"),
        "e4m3": ("m16n8k32",), "e5m2": ("m16n8k32",),
        "s4": ("m8n8k32", "m16n8k32", "m16n8k64"), "u4": ("m8n8k32", "m16n8k32", "m16n8k64"),
    },
    "wmma": {
        "f16": _LARGE, "bf16": _LARGE, "tf32": ("m16n16k8",), "s8": _LARGE, "u8": _LARGE,
        "f64": ("m8n8k4",),
    },
}  # fmt: skip
_OTHERS = {
    *("sync", "aligned", "row", "col", "mma", "load", "store", "a", "b", "c", "d"),
    *("global", "shared", "shared::cta", "satfinite", "rn"),
}
_REGISTERS = {"f32": "f32", "s32": "s32", "f64": "f64"}


@dataclass(frozen=True)
class HeldMatrix:
    """How the lanes of a warp hold a matrix.

    Attributes:
        kind: the PTX type of its elements.
        rows, columns: its sizes, as it is held.
        is_sum: whether it is an addend or a result, of which a lane holds two elements of a block.
    """

    kind: str
    rows: int
    columns: int
    is_sum: bool = False

    @property
    def register(self) -> str:
        """The PTX type of the registers: that of large elements, or of what packs small ones."""
        return _REGISTERS.get(self.kind, "b32")


@dataclass(frozen=True)
class MatrixProduct(WarpOperation):
    """``a @ b + c``.

    Attributes:
        held: a, b, c and the result.
        counts: how many of the sources are registers of a, of b, and of c.
    """

    held: tuple[HeldMatrix, HeldMatrix, HeldMatrix, HeldMatrix]
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class QuadProducts(WarpOperation):
    """Four products of a warp: ``mma.m8n8k4`` of float16.

    Attributes:
        layouts: those of a and b, ``row`` or ``col``.
        kinds: the types of c and of the result.
        counts: how many of the sources are registers of a, of b, and of c.
    """

    layouts: tuple[str, str]
    kinds: tuple[str, str]
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class MatrixAccess(WarpOperation):
    """``wmma.load`` and ``wmma.store``, whose sources are an address, a stride and what is stored.

    Attributes:
        held: the matrix.
        is_along_rows: whether the elements of a row, as it is held, are neighbours in memory.
    """

    held: HeldMatrix
    is_along_rows: bool


def matrix_operation_of(slots: Slots, instruction: Instruction) -> WarpOperation:
    """Return the operation of an instruction.

    Errors:
        PtxUnsupported: the machine does not know its shape or its types.
    """
    if instruction.opcode == "ldmatrix":
        return _rows(slots, instruction)
    if instruction.opcode == "wmma" and not instruction.has("mma"):
        return _access(slots, instruction)
    if instruction.opcode == "mma" and instruction.has("m8n8k4") and instruction.has("f16"):
        return _quads(slots, instruction)
    return _product(slots, instruction)


def _quads(slots: Slots, instruction: Instruction) -> QuadProducts:
    kinds = [each for each in instruction.modifiers if each in _TYPES]
    layouts = [each for each in instruction.modifiers if each in ("row", "col")]
    known = {"sync", "aligned", "m8n8k4", "row", "col", "f16", "f32"}
    if len(kinds) != 4 or len(layouts) != 2 or not {*instruction.modifiers} <= known:
        raise slots.unsupported(instruction)
    puts, *given = (items_of(operand) for operand in instruction.operands)
    registers = [_REGISTERS.get(kind, "b32") for kind in ("f16", "f16", kinds[3], kinds[0])]
    return QuadProducts(
        instruction,
        slots.read(ALL_LANES, "b32", instruction),
        tuple(
            slots.read(each, register, instruction)
            for register, listed in zip(registers, given, strict=False)
            for each in listed
        ),
        tuple(slots.destination(each, registers[3], instruction) for each in puts),
        (layouts[0], layouts[1]),
        (kinds[3], kinds[0]),
        (len(given[0]), len(given[1]), len(given[2])),
    )


def _product(slots: Slots, instruction: Instruction) -> MatrixProduct:
    kinds = [each for each in instruction.modifiers if each in _TYPES]
    if len(kinds) == 2:  # of wmma, which does not name the type of its factors if it is float16
        kinds[1:1] = ["f16", "f16"]
    result, first, second, addend = kinds if len(kinds) == 4 else [""] * 4
    rows, columns, inner = _sizes_of(slots, instruction, first)
    is_known = second == first or {first, second} in _MIXED
    if not is_known or not {result, addend} <= {*_SUMS[first]}:
        raise slots.unsupported(instruction)
    held = (
        HeldMatrix(first, rows, inner),
        HeldMatrix(second, columns, inner),
        HeldMatrix(addend, rows, columns, is_sum=True),
        HeldMatrix(result, rows, columns, is_sum=True),
    )
    puts, *given = (items_of(operand) for operand in instruction.operands)
    sources = [
        slots.read(each, matrix.register, instruction)
        for matrix, registers in zip(held, given, strict=False)
        for each in registers
    ]
    return MatrixProduct(
        instruction,
        slots.read(ALL_LANES, "b32", instruction),
        tuple(sources),
        tuple(slots.destination(each, held[3].register, instruction) for each in puts),
        held,
        (len(given[0]), len(given[1]), len(given[2])),
    )


def _access(slots: Slots, instruction: Instruction) -> MatrixAccess:
    """``wmma.load.a``, ``.b`` and ``.c``, and ``wmma.store.d``."""
    kind = instruction.one_of(tuple(_TYPES))
    which = instruction.one_of(("a", "b", "c", "d"))
    is_sum = which in ("c", "d")
    factors = [each for each in _SUMS if (kind in _SUMS[each] if is_sum else kind == each)]
    rows, columns, inner = _sizes_of(slots, instruction, *factors)
    sizes = {"a": (rows, inner), "b": (columns, inner)}.get(which, (rows, columns))
    held, is_along_rows = HeldMatrix(kind, *sizes, is_sum), instruction.has("row") != (which == "b")
    operands = list(instruction.operands)
    registers = items_of(operands.pop(1 if which == "d" else 0))
    if len(operands) < 2:
        operands.append(Immediate(str(sizes[1] if is_along_rows else sizes[0])))
    sources = [
        slots.read_address(operands[0], instruction), slots.read(operands[1], "u32", instruction),
    ]  # fmt: skip
    puts = []
    for each in registers:
        if which == "d":
            sources.append(slots.read(each, held.register, instruction))
        else:
            puts.append(slots.destination(each, held.register, instruction))
    mask = slots.read(ALL_LANES, "b32", instruction)
    return MatrixAccess(instruction, mask, tuple(sources), tuple(puts), held, is_along_rows)


def _rows(slots: Slots, instruction: Instruction) -> WarpOperation:
    """``ldmatrix`` of 8 x 8 matrices of 16-bit numbers."""
    if not instruction.has("m8n8") or not instruction.has("b16"):
        raise slots.unsupported(instruction)
    return WarpOperation(
        instruction,
        slots.read(ALL_LANES, "b32", instruction),
        (slots.read_address(instruction.operands[1], instruction),),
        tuple(
            slots.destination(each, "b32", instruction)
            for each in items_of(instruction.operands[0])
        ),
    )


def _sizes_of(slots: Slots, instruction: Instruction, *factors: str) -> tuple[int, int, int]:
    """Return the m, n and k of an instruction whose factors may have these types.

    Errors:
        PtxUnsupported: the machine does not know the shape, or another modifier.
    """
    of_types = _SHAPES[instruction.opcode]
    known = {shape for factor in factors for shape in of_types.get(factor, ())}
    shapes = [each for each in instruction.modifiers if each in known]
    if len(shapes) != 1 or not {*instruction.modifiers} <= {*_OTHERS, *_TYPES, *shapes}:
        raise slots.unsupported(instruction)
    rows, columns, inner = map(int, re.findall(r"\d+", shapes[0]))
    return rows, columns, inner
