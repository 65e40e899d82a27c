"""``trap``, and calls of the CUDA device runtime: ``printf``, ``assert`` and ``malloc``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Frame, MachineForInstructions, Operation
from pluginkit.ptx.code.guards import active_threads
from pluginkit.ptx.code.inline import EXTERNAL
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.memory.memory_access import MemoryAccess
from pluginkit.ptx.text.syntax import Instruction, Symbol, Vector
from pluginkit.ptx.types import U8, U32, U64, Array

_CONVERSION = re.compile(r"%(?:%|([-+ #0]*\*?\d*(?:\.\d+)?)(?:hh|h|ll|l|j|z|t|L)?([a-zA-Z]))")
_LONG = re.compile(r"(?:ll|l|j|z|t)[a-zA-Z]$")
_LONGEST_TEXT = 4096


def call(slots: Slots, instruction: Instruction) -> Operation:
    """``call`` of the runtime's functions; what else there is could not be inlined."""
    callee = next(each for each in instruction.operands if not isinstance(each, Vector))
    if not isinstance(callee, Symbol):
        raise slots.unsupported(instruction, "a call through a pointer to an unknown function")
    name = callee.name
    if name not in EXTERNAL:
        raise slots.unsupported(instruction, f"a deeper recursion of '{demangled(name)}'")
    vectors = [each for each in instruction.operands if isinstance(each, Vector)]
    names = [each.name for each in vectors[-1].items if isinstance(each, Symbol)]
    result = vectors[0].items[0] if len(vectors) > 1 else None
    result_name = result.name if isinstance(result, Symbol) else None
    if name == "vprintf":
        return _print(instruction, names, result_name)
    if name == "malloc":
        return _allocation(instruction, result_name)
    if name == "free":
        return lambda frame: None
    return _assertion(instruction, names)


def trap(slots: Slots, instruction: Instruction) -> Operation:
    """``trap``."""
    choose = active_threads(slots, instruction)

    def run(frame: Frame) -> None:
        ids, _ = choose(frame)
        if len(ids):
            frame.machine.report("trap", instruction, ids, "the kernel stops itself with a trap.")

    return run


def _argument(
    machine: MachineForInstructions, instruction: Instruction, thread: int, name: str
) -> int:
    access = MemoryAccess(instruction, "local", U64)
    address = np.array([machine.address_of(name)], U64)
    return int(machine.memory.load(access, np.array([thread]), address)[0][0])


def _text(
    machine: MachineForInstructions, instruction: Instruction, thread: int, address: int
) -> str:
    access, found = MemoryAccess(instruction, "generic", U8), bytearray()
    for place in range(_LONGEST_TEXT):
        where = np.array([address + place], U64)
        byte = int(machine.memory.load(access, np.array([thread]), where)[0][0])
        if not byte:
            break
        found.append(byte)
    return found.decode(errors="replace")


def _print(instruction: Instruction, names: list[str], result: str | None) -> Operation:
    texts: dict[int, str] = {}

    def run(frame: Frame) -> None:
        machine = frame.machine
        for thread in frame.ids.tolist():
            fmt = _argument(machine, instruction, thread, names[0])
            if fmt not in texts:
                texts[fmt] = _text(machine, instruction, thread, fmt)
            buffer = _argument(machine, instruction, thread, names[1])
            machine.printed.append(_formatted(machine, instruction, thread, texts[fmt], buffer))
        if result is not None:
            _answer(machine, instruction, frame.ids, result, U32)

    return run


def _allocation(instruction: Instruction, result: str | None) -> Operation:
    """Return what gives NULL, as CUDA does once the heap of all kernels, 8 MB, is used up."""

    def run(frame: Frame) -> None:
        if result is not None:
            _answer(frame.machine, instruction, frame.ids, result, U64)

    return run


def _answer(
    machine: MachineForInstructions,
    instruction: Instruction,
    ids: Array,
    name: str,
    dtype: np.dtype[Any],
) -> None:
    """Let a call return 0."""
    access = MemoryAccess(instruction, "local", dtype)
    addresses = np.full(len(ids), machine.address_of(name), U64)
    machine.memory.store(access, ids, addresses, [np.zeros(len(ids), dtype)])


def _formatted(
    machine: MachineForInstructions, instruction: Instruction, thread: int, text: str, buffer: int
) -> str:
    """Format a string with its arguments, which lie in memory one after the other, aligned."""
    at = 0

    def number(size: int) -> bytes:
        nonlocal at
        at = -(-at // size) * size
        access = MemoryAccess(instruction, "generic", U32 if size == 4 else U64)
        address = np.array([buffer + at], U64)
        at += size
        return machine.memory.load(access, np.array([thread]), address)[0].tobytes()

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        flags, kind = match[1] or "", match[2]
        if kind in "fFeEgGaA":
            return f"%{flags}{kind}" % float(np.frombuffer(number(8), np.float64)[0])
        if kind == "s":
            return f"%{flags}s" % _text(
                machine, instruction, thread, int.from_bytes(number(8), "little")
            )
        if kind == "p":
            return hex(int.from_bytes(number(8), "little"))
        raw = number(8 if _LONG.search(match[0]) else 4)
        value = int.from_bytes(raw, "little", signed=kind in "di")
        return chr(value) if kind == "c" else f"%{flags}{'d' if kind in 'iu' else kind}" % value

    return _CONVERSION.sub(replaced, text)


def _assertion(instruction: Instruction, names: list[str]) -> Operation:
    def run(frame: Frame) -> None:
        machine, thread = frame.machine, int(frame.ids[0])
        address = _argument(machine, instruction, thread, names[0])
        condition = _text(machine, instruction, thread, address)
        machine.report("assertion", instruction, frame.ids, f"assert({condition}) fails.")

    return run
