"""``cp.async.bulk`` without tensor maps."""

from __future__ import annotations

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import active_threads, values_at
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects.mbarrier_instructions import mbarrier_access
from pluginkit.ptx.memory.bulk_copies import BulkCopy
from pluginkit.ptx.text.immediates import parse_integer
from pluginkit.ptx.text.syntax import Immediate, Instruction

_TRACKED = "mbarrier::complete_tx::bytes"
_KNOWN = {
    *("async", "bulk", "shared", "shared::cta", "shared::cluster", "global", "L2::cache_hint"),
    *(_TRACKED, "bulk_group", "commit_group", "wait_group", "read", "prefetch", "L2"),
}


def copy(slots: Slots, instruction: Instruction) -> Operation | None:
    """Return the operation of a bulk copy, or of what groups copies and waits for them."""
    if not {*instruction.modifiers} <= _KNOWN:
        raise slots.unsupported(instruction)
    if instruction.has("prefetch"):
        return None
    if instruction.has("commit_group"):
        return _commit(slots, instruction)
    if instruction.has("wait_group"):
        return _wait(slots, instruction)
    spaces = [each for each in instruction.modifiers if each.startswith(("shared", "global"))]
    if "global" not in spaces:  # from one block of a cluster to another
        raise slots.unsupported(instruction)
    return _begin(slots, instruction)


def _commit(slots: Slots, instruction: Instruction) -> Operation:
    choose = active_threads(slots, instruction)
    return lambda frame: frame.machine.bulk_copies.commit(choose(frame)[0])


def _wait(slots: Slots, instruction: Instruction) -> Operation:
    choose, count = active_threads(slots, instruction), instruction.operands[0]
    if not isinstance(count, Immediate):
        raise slots.unsupported(instruction)
    left, is_read = parse_integer(count.text), instruction.has("read")
    return lambda frame: frame.machine.bulk_copies.wait(choose(frame)[0], left, is_read=is_read)


def _begin(slots: Slots, instruction: Instruction) -> Operation:
    target, source, size, *rest = instruction.operands
    reads = [
        slots.read_address(target, instruction), slots.read_address(source, instruction),
        slots.read(size, "u32", instruction),
    ]  # fmt: skip
    is_tracked = instruction.has(_TRACKED)
    if is_tracked:
        reads.append(slots.read_address(rest[0], instruction))
    choose, barrier = active_threads(slots, instruction), mbarrier_access(instruction, "shared")

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        given = [values_at(read(frame), frame, places).tolist() for read in reads]
        copies = frame.machine.bulk_copies
        for thread, to, at, nbytes, *where in zip(ids.tolist(), *given, strict=True):
            one = BulkCopy(instruction, thread, to, at, nbytes)
            if is_tracked:
                copies.to_shared(one, barrier, where[0])
            else:
                copies.to_global(one)

    return run
