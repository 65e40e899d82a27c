"""Arithmetic with a carry: ``add.cc``, ``addc``, ``sub.cc``, ``subc``, ``mad.cc``, ``madc``.

The carry flag of a thread is a register here, ``%cc``.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import guarded
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.operations.integer import product_of
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import CARRY, Instruction, Register
from pluginkit.ptx.types import DTYPES, UNSIGNED, Value


def with_carry(slots: Slots, instruction: Instruction) -> Operation:
    """Return the operation of an instruction that reads or writes the carry flag."""
    kind = type_of(instruction)
    target, *operands = instruction.operands
    put = slots.destination(target, f"b{8 * DTYPES[kind].itemsize}", instruction)
    flag = slots.destination(Register(CARRY), "pred", instruction)
    reads = [slots.read(each, kind, instruction) for each in operands]
    carry = slots.read(Register(CARRY), "pred", instruction)
    takes, gives = instruction.takes_carry, instruction.gives_carry
    add = _subtract if instruction.opcode.startswith("sub") else _add
    product = product_of(instruction) if instruction.opcode.startswith("mad") else None

    def run(frame: Frame) -> None:
        values = [read(frame) for read in reads]
        if product is not None:
            values[:2] = [product(values[0], values[1])]
        first, second = (value.view(UNSIGNED[value.dtype.itemsize]) for value in values)
        given = carry(frame) if takes else np.bool_(False)
        result, is_over = add(first, second, given)
        put(frame, result)
        if gives:
            flag(frame, is_over)

    return guarded(slots, instruction, run, [put, flag] if gives else [put])


def _add(a: Value, b: Value, carry: Value) -> tuple[Value, Value]:
    total = a + b
    result = total + carry
    return result, (total < a) | (result < total)


def _subtract(a: Value, b: Value, borrow: Value) -> tuple[Value, Value]:
    difference = a - b
    return difference - borrow, (a < b) | (difference < borrow)
