"""``cp.async``: copies to shared memory that are there only once a thread has waited for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import chosen, picked
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.memory.sites import Site
from pluginkit.ptx.text.immediates import parse_integer
from pluginkit.ptx.text.syntax import Immediate, Instruction
from pluginkit.ptx.types import U8, Array

if TYPE_CHECKING:
    from pluginkit.ptx.machine.machine import Machine


@dataclass
class _Copy:
    site: Site
    ids: Array
    addresses: Array
    values: list[Array]
    groups: Array


@dataclass
class PendingCopies:
    """The copies that threads have begun and not waited for.

    Attributes:
        groups: for each thread how many groups it has committed.
    """

    groups: Array
    _begun: list[_Copy] = field(default_factory=list)

    def begin(self, site: Site, ids: Array, addresses: Array, values: list[Array]) -> None:
        """Threads begin a copy in their current group."""
        self._begun.append(_Copy(site, ids, addresses, values, self.groups[ids]))

    def commit(self, ids: Array) -> None:
        """Threads end their current group."""
        self.groups[ids] += 1

    def wait(self, machine: Machine, ids: Array, groups_left: int | None) -> None:
        """Threads wait until all but so many of their groups are done; None: for every copy."""
        is_waiting = np.zeros(len(self.groups), bool)
        is_waiting[ids] = True
        kept = []
        for copy in self._begun:
            done = is_waiting[copy.ids]
            if groups_left is not None:
                done &= copy.groups < self.groups[copy.ids] - groups_left
            if done.any():
                machine.access.store(
                    copy.site, copy.ids[done], copy.addresses[done],
                    [value[done] for value in copy.values],
                )  # fmt: skip
            if not done.all():
                left = ~done
                kept.append(
                    _Copy(
                        copy.site, copy.ids[left], copy.addresses[left],
                        [value[left] for value in copy.values], copy.groups[left],
                    )
                )  # fmt: skip
        self._begun = kept


def copy(slots: Slots, instruction: Instruction) -> Operation | None:
    """``cp.async`` and what waits for it; bulk copies and tensors are unknown."""
    if not instruction.has("async") or instruction.has("bulk", "mbarrier", "tensor"):
        raise slots.unsupported(instruction)
    if instruction.has("wait_all", "wait_group"):
        return _wait(slots, instruction)
    if instruction.has("commit_group"):
        return lambda frame: frame.machine.copies.commit(frame.ids)
    return _begin(slots, instruction)


def _wait(slots: Slots, instruction: Instruction) -> Operation:
    left = None
    if instruction.has("wait_group"):
        count = instruction.operands[0]
        if not isinstance(count, Immediate):
            raise slots.unsupported(instruction)
        left = parse_integer(count.text)
    return lambda frame: frame.machine.copies.wait(frame.machine, frame.ids, left)


def _begin(slots: Slots, instruction: Instruction) -> Operation:
    size = instruction.operands[2]
    if not isinstance(size, Immediate):
        raise slots.unsupported(instruction)
    nbytes = parse_integer(size.text)
    target = slots.read_address(instruction.operands[0], instruction)
    source = slots.read_address(instruction.operands[1], instruction)
    given = instruction.operands[3] if len(instruction.operands) > 3 else size
    copied = slots.read(given, "u32", instruction)
    choose = chosen(slots, instruction)
    loads = Site(instruction, "global", np.dtype(U8), 1)
    stores = Site(instruction, "shared", np.dtype(U8), nbytes)

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        addresses = picked(source(frame), frame, places)
        count = picked(copied(frame), frame, places)
        values = [np.zeros(len(ids), U8) for _ in range(nbytes)]
        for byte in range(nbytes):  # what is not copied is zero
            taken = np.flatnonzero(count > byte)
            if len(taken):
                here = addresses[taken] + addresses.dtype.type(byte)
                values[byte][taken] = frame.machine.access.load(loads, ids[taken], here)[0]
        frame.machine.copies.begin(stores, ids, picked(target(frame), frame, places), values)

    return run
