"""Runs the threads of one wave, block of code by block of code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.ptx.code.flow import END
from pluginkit.ptx.code.frame import Frame, Put, spread
from pluginkit.ptx.code.program import Block, Program
from pluginkit.ptx.code.special_registers import SPECIAL, UNIFORM, Three
from pluginkit.ptx.effects.copies import PendingCopies
from pluginkit.ptx.effects.waiting import Barrier, WarpOperation
from pluginkit.ptx.machine.barriers import Barriers
from pluginkit.ptx.machine.schedule import Schedule
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.machine.warps import Lanes, perform
from pluginkit.ptx.memory.access import Access
from pluginkit.ptx.memory.regions import PrivateMemory, Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U32, Array

if TYPE_CHECKING:
    from pluginkit.ptx.machine.launch import Launch

_VAIN_ROUNDS = 5_000
_ALL_LANES = np.uint32(0xFFFFFFFF)
_END = Instruction("ret", (), ())


class Machine:
    """The threads of one wave of a launch.

    Args:
        launch: what they are a part of.
        threads: the threads.
        first_thread: the number, in the launch's order, of the first one.

    Attributes:
        alive: for each block of the wave how many threads have not ended.
        progress: grows whenever something happens that a thread can wait for.
    """

    def __init__(self, launch: Launch, threads: Threads, first_thread: int) -> None:
        self.launch, self.threads, self.first_thread = launch, threads, first_thread
        self.program: Program = launch.program
        self.order, self.printed = launch.order, launch.printed
        self.access = Access(self)
        self.shared = PrivateMemory("shared", launch.shared_sizes, len(threads.blocks))
        self.local = PrivateMemory("local", launch.local_sizes, threads.count)
        self.copies = PendingCopies(np.zeros(threads.count, np.int64))
        self.schedule, self.barriers = Schedule(), Barriers(self)
        self.alive = np.full(len(threads.blocks), threads.per_block)
        self.progress = 0
        self._warp_alive = np.zeros(len(threads.blocks) * threads.warps_per_block, U32)
        np.bitwise_or.at(
            self._warp_alive, threads.warp, np.left_shift(np.uint32(1), threads.lane.astype(U32))
        )
        self._whole_warps = self._warp_alive.copy()
        self._everyone = np.arange(threads.count)
        self._registers: list[Array | None] = []
        self._frame = Frame()
        self._frame.machine = self
        self._frame.ids, self._frame.size = self._everyone, threads.count
        self._filled: set[int] = set()
        self._unsaved: set[int] = set()
        self._special: dict[int, str] = {}
        self._lanes: Lanes | None = None
        self._all_lanes: Lanes | None = None
        self._vain = (0, 0)
        self.schedule.push(0, self._everyone)

    def run(self, steps: int) -> int:
        """Run until all threads have ended, at most ``steps`` blocks of code; return how many."""
        with np.errstate(all="ignore"):
            for step in range(steps):
                if not self.step():
                    return step
        return steps

    def step(self) -> bool:
        """Run one block of code for the group whose turn it is; False once all have ended."""
        turn = self.schedule.take()
        if turn is None:
            return self._resolve()
        number, ids = turn
        block = self.program.block(number)
        frame = self._fill(block, ids)
        if isinstance(block.waiting, Barrier):
            self.barriers.arrive(block.waiting, frame, block.basic.successors[0])
            return True
        if isinstance(block.waiting, WarpOperation):
            self._meet(number, block, block.waiting, frame)
            return True
        for operation in block.operations:
            operation(frame)
        self._keep(block)
        self._go_on(number, block, frame)
        return True

    def _fill(self, block: Block, ids: Array) -> Frame:
        """The frame of some threads, with what the block reads in it.

        Values stay in the frame as long as the same threads run, block after block.
        """
        frame = self._frame
        if len(frame) < len(self.program.slots.stored):
            self._grow()
        if len(ids) == self.threads.count:
            ids = self._everyone
        if ids is not frame.ids:
            self._flush()
            self._filled.clear()
            frame.ids, frame.size = ids, len(ids)
            self._lanes = None
        for slot in block.reads:
            if slot not in self._filled:
                frame[slot] = self._register(slot)[ids]
                self._filled.add(slot)
        return frame

    def _flush(self) -> None:
        """Put what the frame's threads computed into the registers."""
        frame = self._frame
        for slot in self._unsaved:
            self._register(slot)[frame.ids] = frame[slot]
        self._unsaved.clear()

    def lanes(self) -> Lanes:
        """The lanes of the frame's threads."""
        frame = self._frame
        if frame.ids is self._everyone:
            if self._all_lanes is None:
                self._all_lanes = Lanes(self.threads, frame.ids)
            return self._all_lanes
        if self._lanes is None:
            self._lanes = Lanes(self.threads, frame.ids)
        return self._lanes

    def _grow(self) -> None:
        """Make room for the slots of blocks that have just been made ready."""
        slots, frame = self.program.slots, self._frame
        missing = len(slots.stored) - len(frame)
        frame.extend([None] * missing)
        self._registers.extend([None] * missing)
        for slot, value in slots.constants.items():
            frame[slot] = value
        for name, slot in slots.by_name.items():
            if name in UNIFORM:
                frame[slot] = self.launch.uniform[name]
            elif name in SPECIAL:
                self._special[slot] = name

    def _register(self, slot: int) -> Array:
        found = self._registers[slot]
        if found is None:
            name = self._special.get(slot)
            if name is not None:
                found = self.threads.values(name)
            else:
                found = np.zeros(self.threads.count, self.program.slots.stored[slot])
            self._registers[slot] = found
        return found

    def _keep(self, block: Block) -> None:
        self._unsaved.update(block.writes)
        self._filled.update(block.writes)

    def keep(self, put: Put, ids: Array, value: Array) -> None:
        """Put values of some threads into a register."""
        self._flush()
        self._filled.discard(put.slot)
        put(self._frame, value)
        self._register(put.slot)[ids] = self._frame[put.slot]

    def _go_on(self, number: int, block: Block, frame: Frame) -> None:
        basic = block.basic
        if block.condition is None:
            self._go(number, basic.successors[0], frame.ids)
            return
        condition = spread(block.condition(frame), frame.size)
        if basic.branch is not None and basic.branch.opcode == "brx":
            for index, to in enumerate(basic.successors):
                self._go(number, to, frame.ids[condition == index])
            return
        taken, other = basic.successors
        if condition.all():
            self._go(number, taken, frame.ids)
        elif not condition.any():
            self._go(number, other, frame.ids)
        else:
            self._go(number, taken, frame.ids[condition])
            self._go(number, other, frame.ids[~condition])

    def _go(self, number: int, to: int, ids: Array) -> None:
        if not len(ids):
            return
        if to == END:
            self.end(ids)
            return
        self.schedule.push(to, ids)
        if to <= number and self.program.basics[number].loop in self.program.polling_loops:
            self.schedule.spin(to)
            self._watch_spinning()

    def _watch_spinning(self) -> None:
        """Stop once threads have gone round very often while nothing happened."""
        progress, rounds = self._vain
        if progress != self.progress:
            self._vain = (self.progress, 0)
            return
        self._vain = (progress, rounds + 1)
        if rounds >= _VAIN_ROUNDS:
            self.stop("threads wait in a loop for something that no other thread does.")

    def stop(self, message: str) -> None:
        """Report a deadlock, and end all threads that still run."""
        self.barriers = Barriers(self)  # those that wait there would have waited for ever
        turn = self.schedule.take()
        while turn is not None:
            number, ids = turn
            instructions = self.program.basics[number].instructions
            self.report("deadlock", instructions[0] if instructions else _END, ids, message)
            self.end(ids)
            turn = self.schedule.take()
        self.schedule.parked.clear()

    def end(self, ids: Array) -> None:
        """Threads end."""
        threads = self.threads
        self.alive -= np.bincount(threads.block[ids], minlength=len(self.alive))
        bits = np.left_shift(np.uint32(1), threads.lane[ids].astype(U32))
        np.bitwise_and.at(self._warp_alive, threads.warp[ids], ~bits)
        self.order.end(ids + self.first_thread)
        self.progress += 1
        self.barriers.look_again()
        self.schedule.unpark()

    def blocks_with_cut_warps(self) -> Array:
        """For each block whether some lanes of a warp have ended, and others not."""
        is_cut = (self._warp_alive != 0) & (self._warp_alive != self._whole_warps)
        of_blocks: Array = is_cut.reshape(len(self.alive), -1).any(axis=1)
        return of_blocks

    def _meet(
        self,
        number: int,
        block: Block,
        operation: WarpOperation,
        frame: Frame,
        *,
        force: bool = False,
    ) -> None:
        """Run a warp operation for the warps whose members are all here; park the others."""
        mask = operation.mask(frame) if operation.mask is not None else _ALL_LANES
        is_whole = frame.ids is self._everyone and not isinstance(mask, np.ndarray)
        masks = spread(mask, frame.size)
        if operation.mask is not None and not (is_whole and mask == _ALL_LANES):
            ids, ready = frame.ids, self._are_together(frame.ids, masks)
            if not force and not ready.all():
                self.schedule.park(number, ids[~ready])
                if not ready.any():
                    return
                masks = masks[ready]
                frame = self._fill(block, ids[ready])
            self._check_own_bit(operation, frame, masks)
        perform(operation, frame, masks)
        self._keep(block)
        self._go(number, block.basic.successors[0], frame.ids)

    def _are_together(self, ids: Array, masks: Array) -> Array:
        """Whether all living lanes that each thread's mask names are among ``ids``."""
        warps = self.threads.warp[ids]
        missing = masks & self._warp_alive[warps] & ~self.lanes().present
        is_complete: Array = missing == 0
        return is_complete

    def _check_own_bit(self, operation: WarpOperation, frame: Frame, masks: Array) -> None:
        is_absent = (masks & self.lanes().bit) == 0
        if is_absent.any():
            self.report(
                "warp", operation.instruction, frame.ids[is_absent],
                "a lane runs a warp operation whose mask does not name it.",
            )  # fmt: skip

    def _resolve(self) -> bool:
        """Nobody can run: report who waits in vain, and let them go on; False once all ended."""
        if self.schedule.parked:
            number = min(self.schedule.parked)
            ids = np.sort(np.concatenate(self.schedule.parked.pop(number)))
            block = self.program.block(number)
            operation = block.waiting
            assert isinstance(operation, WarpOperation)  # noqa: S101 - nobody else parks
            self.report(
                "warp", operation.instruction, ids,
                "lanes wait at a warp operation that others in its mask never reach.",
            )  # fmt: skip
            self._meet(number, block, operation, self._fill(block, ids), force=True)
            return True
        return self.barriers.give_up()

    def tick(self, instruction: Instruction) -> int:
        """The next moment, and what happens then."""
        return self.launch.tick(instruction)

    def instruction_at(self, time: int) -> Instruction:
        """What happened at a moment."""
        return self.launch.history[time]

    def fence(self, ids: Array, instruction: Instruction, *, in_block: bool) -> None:
        """Threads run a fence."""
        self.order.fence(ids + self.first_thread, self.tick(instruction), in_block=in_block)

    def regions(self, space: str) -> Mapping[int, Region]:
        """The regions of a space by their windows."""
        if space == "global":
            return self.launch.memory.regions
        return self.shared.regions if space == "shared" else self.local.regions

    def address_of(self, name: str) -> int:
        """The address of a variable in its own space."""
        for private in (self.shared, self.local):
            if name in private.addresses:
                return private.addresses[name]
        return self.launch.addresses[name]

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any]) -> Any:
        """A value in a parameter of the kernel."""
        return self.launch.parameter(name, offset, dtype)

    def place_of(self, thread: int) -> tuple[Three, Three]:
        """``blockIdx`` and ``threadIdx`` of a thread by its number in the launch."""
        return self.launch.place_of(thread)

    def report(
        self, kind: str, instruction: Instruction, ids: Array, message: str, **facts: Any
    ) -> None:
        """Note a finding at an instruction, for these threads of the wave."""
        place = self.threads.place_of(int(ids[0]))
        self.launch.report(kind, instruction, place, len(ids), message, **facts)

    def register(self, name: str) -> Array | None:
        """What a register holds in every thread of the wave; None where nothing has used it."""
        slot = self.program.slots.by_name.get(name)
        if slot is None or slot >= len(self._registers):
            return None
        self._flush()
        if slot in self.program.slots.constants or name in UNIFORM:
            return np.full(self.threads.count, self._frame[slot])
        found = self._registers[slot]
        return None if found is None else found.copy()
