"""Turn an instruction into a function of a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pluginkit.ptx.code.frame import Destination, Frame, Operation, Read, broadcast
from pluginkit.ptx.code.guards import guarded
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects import EFFECTS
from pluginkit.ptx.effects.carries import with_carry
from pluginkit.ptx.operations import Compute, compute_of
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.text.syntax import Instruction, Pair
from pluginkit.ptx.types import is_float


def decode(slots: Slots, instruction: Instruction) -> Operation | None:
    """Return the function that executes an instruction on a frame; None for hints.

    Errors:
        PtxUnsupported: the machine does not know it.
    """
    if instruction.takes_carry or instruction.gives_carry:
        return with_carry(slots, instruction)
    effect = EFFECTS.get(instruction.opcode)
    if effect is not None:
        return effect(slots, instruction)
    compute = compute_of(instruction)
    if compute is None:
        raise slots.unsupported(instruction)
    operation = _bind(slots, instruction, compute)
    if instruction.opcode in ("div", "rem") and not is_float(type_of(instruction)):
        return _checking_divisor(slots, instruction, compute, operation)
    return operation


def _bind(slots: Slots, instruction: Instruction, compute: Compute) -> Operation:
    target, *operands = instruction.operands
    if len(operands) != len(compute.sources):
        raise slots.unsupported(instruction)
    reads = [
        slots.read(operand, kind, instruction)
        for operand, kind in zip(operands, compute.sources, strict=True)
    ]
    targets = (target.first, target.second) if isinstance(target, Pair) else (target,)
    puts = [slots.destination(each, compute.result, instruction) for each in targets]
    make = _one_result if len(puts) == 1 else _two_results
    return guarded(slots, instruction, make(compute.function, reads, puts), puts)


def _one_result(
    function: Callable[..., Any], reads: list[Read], puts: list[Destination]
) -> Operation:
    """Return the operation for one result, with fast paths for the most frequent forms."""
    put = puts[0]
    if put.write is not None or len(reads) > 2:
        return lambda frame: put(frame, function(*[read(frame) for read in reads]))
    slot, first = put.slot, reads[0]
    if len(reads) == 1:

        def unary(frame: Frame) -> None:
            frame[slot] = function(first(frame))

        return unary
    second = reads[1]

    def binary(frame: Frame) -> None:
        frame[slot] = function(first(frame), second(frame))

    return binary


def _two_results(
    function: Callable[..., Any], reads: list[Read], puts: list[Destination]
) -> Operation:
    first, second = puts

    def run(frame: Frame) -> None:
        one, other = function(*[read(frame) for read in reads])
        first(frame, one)
        second(frame, other)

    return run


def _checking_divisor(
    slots: Slots, instruction: Instruction, compute: Compute, operation: Operation
) -> Operation:
    divisor = slots.read(instruction.operands[2], compute.sources[1], instruction)
    guard = slots.guard(instruction.guard) if instruction.guard else None

    def run(frame: Frame) -> None:
        is_zero = divisor(frame) == 0
        if is_zero.any() and guard is not None:
            is_zero = is_zero & guard(frame)
        if is_zero.any():
            frame.machine.report(
                "division", instruction, frame.ids[broadcast(is_zero, frame.size)],
                "an integer is divided by zero",
            )  # fmt: skip
        operation(frame)

    return run
