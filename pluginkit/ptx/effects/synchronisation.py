"""Decode the instructions at which threads wait for one another: barriers, warp operations."""

from __future__ import annotations

from dataclasses import dataclass

from pluginkit.ptx.code.frame import Destination, Read
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.matrix_operations import matrix_operation_of
from pluginkit.ptx.effects.warp_operation import WarpOperation
from pluginkit.ptx.text.syntax import Immediate, Instruction, Operand, Pair


@dataclass(frozen=True)
class Barrier:
    """``bar`` and ``barrier``.

    Attributes:
        instruction: the instruction.
        number: reads which of the block's 16 barriers it is.
        threads: reads how many threads take part; None for all of the block.
        waits: whether threads wait there; False for ``bar.arrive``.
        reduction: ``popc``, ``and`` or ``or``, or None.
        value: reads the predicate to reduce.
        put: puts the result into its register.
    """

    instruction: Instruction
    number: Read
    threads: Read | None
    waits: bool
    reduction: str | None = None
    value: Read | None = None
    put: Destination | None = None

    @property
    def is_for_block(self) -> bool:
        """Whether all threads of the block wait here, as at ``__syncthreads``."""
        return self.waits and self.threads is None


def synchronisation_of(slots: Slots, instruction: Instruction) -> Barrier | WarpOperation:
    """Return the barrier or warp operation of an instruction.

    Errors:
        PtxUnsupported: the machine does not know it.
    """
    if instruction.opcode in ("bar", "barrier"):
        if instruction.has("warp"):
            mask = slots.read(instruction.operands[0], "b32", instruction)
            return WarpOperation(instruction, mask, (), ())
        return _barrier(slots, instruction)
    decode = {
        "shfl": _shuffle, "vote": _vote, "match": _match, "redux": _reduce,
        "activemask": _active_mask, "elect": _elect,
        "mma": matrix_operation_of, "wmma": matrix_operation_of, "ldmatrix": matrix_operation_of,
    }[instruction.opcode]  # fmt: skip
    return decode(slots, instruction)


def _barrier(slots: Slots, instruction: Instruction) -> Barrier:
    operands = list(instruction.operands)
    if instruction.has("cluster"):
        raise slots.unsupported(
            instruction, "clusters of thread blocks, which Launch cannot ask for"
        )
    waits = not instruction.has("arrive")
    put, value, reduction = None, None, None
    if instruction.has("red"):
        reduction = instruction.one_of(("popc", "and", "or"))
        kind = "u32" if reduction == "popc" else "pred"
        put = slots.destination(operands.pop(0), kind, instruction)
        value = slots.read(operands.pop(), "pred", instruction)
    number = slots.read(operands[0] if operands else Immediate("0"), "u32", instruction)
    threads = slots.read(operands[1], "u32", instruction) if len(operands) > 1 else None
    return Barrier(instruction, number, threads, waits, reduction, value, put)


def _results(
    slots: Slots, instruction: Instruction, kinds: tuple[str, ...]
) -> tuple[Destination, ...]:
    target = instruction.operands[0]
    listed: tuple[Operand, ...] = (
        (target.first, target.second) if isinstance(target, Pair) else (target,)
    )
    return tuple(
        slots.destination(each, kind, instruction)
        for each, kind in zip(listed, kinds, strict=False)
    )


def _shuffle(slots: Slots, instruction: Instruction) -> WarpOperation:
    _, value, lane, clamp, *rest = instruction.operands
    sources = tuple(slots.read(each, "b32", instruction) for each in (value, lane, clamp))
    mask = slots.read(rest[0], "b32", instruction) if instruction.has("sync") else None
    return WarpOperation(instruction, mask, sources, _results(slots, instruction, ("b32", "pred")))


def _vote(slots: Slots, instruction: Instruction) -> WarpOperation:
    _, value, *rest = instruction.operands
    source = slots.read(value, "pred", instruction)
    mask = slots.read(rest[0], "b32", instruction) if instruction.has("sync") else None
    kind = "b32" if instruction.has("ballot") else "pred"
    return WarpOperation(instruction, mask, (source,), _results(slots, instruction, (kind,)))


def _match(slots: Slots, instruction: Instruction) -> WarpOperation:
    kind = "b64" if instruction.has("b64") else "b32"
    _, value, mask = instruction.operands
    source = slots.read(value, kind, instruction)
    results = _results(slots, instruction, ("b32", "pred"))
    return WarpOperation(instruction, slots.read(mask, "b32", instruction), (source,), results)


def _reduce(slots: Slots, instruction: Instruction) -> WarpOperation:
    kind = instruction.one_of(("u32", "s32", "b32"))
    if not kind:
        raise slots.unsupported(instruction)
    _, value, mask = instruction.operands
    source = slots.read(value, kind, instruction)
    return WarpOperation(
        instruction,
        slots.read(mask, "b32", instruction),
        (source,),
        _results(slots, instruction, (kind,)),
    )


def _active_mask(slots: Slots, instruction: Instruction) -> WarpOperation:
    return WarpOperation(instruction, None, (), _results(slots, instruction, ("b32",)))


def _elect(slots: Slots, instruction: Instruction) -> WarpOperation:
    mask = slots.read(instruction.operands[1], "b32", instruction)
    return WarpOperation(instruction, mask, (), _results(slots, instruction, ("b32", "pred")))
