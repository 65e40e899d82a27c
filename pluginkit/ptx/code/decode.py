"""Turns an instruction into a function of a frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluginkit.ptx.effects import EFFECTS
from pluginkit.ptx.operations import Compute, compute_of
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.program import Program
from pluginkit.ptx.syntax import Instruction, Pair
from pluginkit.ptx.types import is_float
from pluginkit.ptx.values import Frame, Operation, Read, Write

Result = tuple[int, Write | None]


def decode(program: Program, instruction: Instruction) -> Operation | None:
    """What one instruction does to a frame; None for nothing.

    Errors:
        PtxUnsupported: the machine does not know it.
    """
    effect = EFFECTS.get(instruction.opcode)
    if effect is not None:
        return effect(program, instruction)
    compute = compute_of(instruction)
    if compute is None:
        raise program.unsupported(instruction)
    operation = _bind(program, instruction, compute)
    if instruction.opcode in ("div", "rem") and not is_float(type_of(instruction)):
        operation = _checking_divisor(program, instruction, compute, operation)
    return operation


def _bind(program: Program, instruction: Instruction, compute: Compute) -> Operation:
    target, *operands = instruction.operands
    if len(operands) != len(compute.sources):
        raise program.unsupported(instruction)
    reads = [
        program.read(operand, kind, instruction)
        for operand, kind in zip(operands, compute.sources, strict=True)
    ]
    if isinstance(target, Pair):
        results = [
            program.write(each, compute.result, instruction)
            for each in (target.first, target.second)
        ]
        operation = _two_results(compute.function, reads, results)
    else:
        result = program.write(target, compute.result, instruction)
        results = [result]
        operation = _one_result(compute.function, reads, result)
    return guarded(program, instruction, operation, [slot for slot, _ in results])


def _one_result(function: Callable[..., object], reads: list[Read], result: Result) -> Operation:
    slot, write = result
    if write is not None:
        keep = write
        return lambda frame: keep(frame, function(*[read(frame) for read in reads]))
    if len(reads) == 1:
        (only,) = reads

        def unary(frame: Frame) -> None:
            frame[slot] = function(only(frame))

        return unary
    if len(reads) == 2:
        first, second = reads

        def binary(frame: Frame) -> None:
            frame[slot] = function(first(frame), second(frame))

        return binary

    def general(frame: Frame) -> None:
        frame[slot] = function(*[read(frame) for read in reads])

    return general


def _two_results(
    function: Callable[..., object], reads: list[Read], results: list[Result]
) -> Operation:
    (first, _), (second, _) = results

    def run(frame: Frame) -> None:
        frame[first], frame[second] = function(*[read(frame) for read in reads])  # type: ignore[misc]

    return run


def guarded(
    program: Program, instruction: Instruction, operation: Operation, slots: list[int]
) -> Operation:
    """The operation where its guard holds; other threads keep what they had in ``slots``."""
    if instruction.guard is None:
        return operation
    guard = program.guard(instruction.guard)

    def run(frame: Frame) -> None:
        active = guard(frame)
        old = [frame[slot] for slot in slots]
        operation(frame)
        for slot, before in zip(slots, old, strict=True):
            frame[slot] = np.where(active, frame[slot], before)

    return run


def _checking_divisor(
    program: Program, instruction: Instruction, compute: Compute, operation: Operation
) -> Operation:
    divisor = program.read(instruction.operands[2], compute.sources[1], instruction)
    guard = program.guard(instruction.guard) if instruction.guard else None

    def run(frame: Frame) -> None:
        is_zero = divisor(frame) == 0
        if np.any(is_zero):
            if guard is not None:
                is_zero = is_zero & guard(frame)
            if np.any(is_zero):
                threads = frame.ids[np.broadcast_to(is_zero, frame.count)]
                frame.machine.report(
                    "division", instruction, threads, "an integer is divided by zero."
                )
        operation(frame)

    return run
