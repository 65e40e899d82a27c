"""Instructions at which threads wait for one another: what a barrier or a warp operation is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.ptx.syntax import Immediate, Instruction, Operand, Pair
from pluginkit.ptx.values import Read, Write

if TYPE_CHECKING:
    from pluginkit.ptx.program import Program


@dataclass(frozen=True)
class Barrier:
    """``bar`` and ``barrier``.

    Attributes:
        instruction: it.
        number: reads which of the block's 16 barriers it is.
        threads: reads how many threads take part; None for all of the block.
        waits: whether threads wait there, rather than only arrive.
        reduction: ``popc``, ``and`` or ``or``, or None.
        value: reads the predicate that is reduced.
        slot: where the result goes.
        write: what puts it there where it has to be converted.
    """

    instruction: Instruction
    number: Read
    threads: Read | None
    waits: bool
    reduction: str | None = None
    value: Read | None = None
    slot: int = 0
    write: Write | None = None


@dataclass(frozen=True)
class WarpOperation:
    """An operation on the lanes of a warp.

    Attributes:
        instruction: it.
        mask: reads which lanes take part; None for those that are there.
        sources: read its operands.
        results: the slots of its results, with what writes them there.
    """

    instruction: Instruction
    mask: Read | None
    sources: tuple[Read, ...]
    results: tuple[tuple[int, Write | None], ...]


def waiting_of(program: Program, instruction: Instruction) -> Barrier | WarpOperation:
    """What an instruction that threads wait at is.

    Errors:
        PtxUnsupported: the machine does not know it.
    """
    if instruction.opcode in ("bar", "barrier"):
        if instruction.has("warp"):
            mask = program.read(instruction.operands[0], "b32", instruction)
            return WarpOperation(instruction, mask, (), ())
        return _barrier(program, instruction)
    decode = {
        "shfl": _shuffle, "vote": _vote, "match": _match, "redux": _reduce,
        "activemask": _active_mask, "elect": _elect,
    }[instruction.opcode]  # fmt: skip
    return decode(program, instruction)


def _barrier(program: Program, instruction: Instruction) -> Barrier:
    operands = list(instruction.operands)
    if instruction.has("cluster"):
        raise program.unsupported(instruction)
    waits = not instruction.has("arrive")
    slot, write, value, reduction = 0, None, None, None
    if instruction.has("red"):
        reduction = instruction.one_of(("popc", "and", "or"))
        kind = "u32" if reduction == "popc" else "pred"
        slot, write = program.write(operands.pop(0), kind, instruction)
        value = program.read(operands.pop(), "pred", instruction)
    number = program.read(operands[0] if operands else Immediate("0"), "u32", instruction)
    threads = program.read(operands[1], "u32", instruction) if len(operands) > 1 else None
    return Barrier(instruction, number, threads, waits, reduction, value, slot, write)


def _results(
    program: Program, instruction: Instruction, kinds: tuple[str, ...]
) -> tuple[tuple[int, Write | None], ...]:
    target = instruction.operands[0]
    listed: tuple[Operand, ...] = (
        (target.first, target.second) if isinstance(target, Pair) else (target,)
    )
    return tuple(
        program.write(each, kind, instruction) for each, kind in zip(listed, kinds, strict=False)
    )


def _shuffle(program: Program, instruction: Instruction) -> WarpOperation:
    _, value, lane, clamp, *rest = instruction.operands
    sources = tuple(program.read(each, "b32", instruction) for each in (value, lane, clamp))
    mask = program.read(rest[0], "b32", instruction) if instruction.has("sync") else None
    return WarpOperation(
        instruction, mask, sources, _results(program, instruction, ("b32", "pred"))
    )


def _vote(program: Program, instruction: Instruction) -> WarpOperation:
    _, value, *rest = instruction.operands
    source = program.read(value, "pred", instruction)
    mask = program.read(rest[0], "b32", instruction) if instruction.has("sync") else None
    kind = "b32" if instruction.has("ballot") else "pred"
    return WarpOperation(instruction, mask, (source,), _results(program, instruction, (kind,)))


def _match(program: Program, instruction: Instruction) -> WarpOperation:
    kind = "b64" if instruction.has("b64") else "b32"
    _, value, mask = instruction.operands
    source = program.read(value, kind, instruction)
    results = _results(program, instruction, ("b32", "pred"))
    return WarpOperation(instruction, program.read(mask, "b32", instruction), (source,), results)


def _reduce(program: Program, instruction: Instruction) -> WarpOperation:
    kind = instruction.one_of(("u32", "s32", "b32"))
    if not kind:
        raise program.unsupported(instruction)
    _, value, mask = instruction.operands
    source = program.read(value, kind, instruction)
    return WarpOperation(
        instruction,
        program.read(mask, "b32", instruction),
        (source,),
        _results(program, instruction, (kind,)),
    )


def _active_mask(program: Program, instruction: Instruction) -> WarpOperation:
    return WarpOperation(instruction, None, (), _results(program, instruction, ("b32",)))


def _elect(program: Program, instruction: Instruction) -> WarpOperation:
    mask = program.read(instruction.operands[1], "b32", instruction)
    return WarpOperation(instruction, mask, (), _results(program, instruction, ("b32", "pred")))
