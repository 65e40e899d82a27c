"""Run the threads of one wave, one block of code after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pluginkit.ptx.code.flow import END
from pluginkit.ptx.code.frame import Frame, spread
from pluginkit.ptx.code.program import Block
from pluginkit.ptx.effects.waiting import Barrier, WarpOperation
from pluginkit.ptx.machine.barriers import Barriers
from pluginkit.ptx.machine.context import Context
from pluginkit.ptx.machine.laggards import Laggards
from pluginkit.ptx.machine.registers import WaveRegisters
from pluginkit.ptx.machine.schedule import Schedule
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.machine.warps import perform, shuffle_all
from pluginkit.ptx.machine.waves import Waves
from pluginkit.ptx.memory.access import Access
from pluginkit.ptx.memory.delayed_writes import DelayedWrites
from pluginkit.ptx.memory.pending_copies import PendingCopies
from pluginkit.ptx.memory.regions import PrivateMemory, Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U32, Array

_VAIN_ROUNDS = 2_000
_PATIENT_ROUNDS, _LONGEST_DELAY = 64, 2048
_ALL_LANES = np.uint32(0xFFFFFFFF)
_END = Instruction("ret", (), ())


class Machine:
    """The threads of one wave of a launch.

    Args:
        context: the state that they share with other waves.
        waves: the launch's waves.
        threads: the threads.
        first_thread: the number in the launch of the first one.

    Attributes:
        registers: the threads' registers.
        schedule: who runs next.
        alive: for each block of the wave how many threads have not ended.
        progress: grows whenever something happens that a thread can wait for.
    """

    def __init__(self, context: Context, waves: Waves, threads: Threads, first_thread: int) -> None:
        self._context, self._waves = context, waves
        self.threads, self.first_thread = threads, first_thread
        self._program, self.order = context.program, context.order
        self.printed, self.progress = context.result.printed, 0
        self.tick, self.instruction_at = context.tick, context.instruction_at
        self.parameter, self.place_of = context.parameter, waves.place_of
        self._delayed = None
        if waves.seed is not None:
            self._delayed = DelayedWrites(threads.per_block, waves.seed)
        self.access = Access(self, self._delayed)
        sizes = context.sizes
        self._shared = PrivateMemory("shared", sizes.shared, len(threads.blocks), sizes.dynamic)
        self._local = PrivateMemory("local", sizes.local, threads.count)
        self.copies = PendingCopies(threads.count)
        self.registers = WaveRegisters(self._program.slots, threads, context.uniform, self)
        laggards = None
        if waves.seed is not None and self._program.telling:
            laggards = Laggards(threads, self._program.telling, waves.seed)
        self.schedule, self._barriers = Schedule(laggards), Barriers(self)
        self.alive = np.full(len(threads.blocks), threads.per_block)
        self._warp_alive = threads.warp_masks()
        self._vain, self._steps = (0, 0), 0
        self.schedule.push(0, self.registers.everyone)

    def step(self) -> bool:
        """Run one block of code for the group whose turn it is; False once all have ended."""
        self._steps += 1
        if self._delayed and self._steps % _LONGEST_DELAY == 0:
            self._delayed.publish_some()
            self.progress += 1
        turn = self.schedule.take()
        if turn is None:
            return self._resolve() or self._end_wave()
        number, ids = turn
        block = self._program.block(number)
        frame = self.registers.fill(block, ids)
        if isinstance(block.waiting, Barrier):
            self._barriers.arrive(block.waiting, frame, block.basic.successors[0])
        elif isinstance(block.waiting, WarpOperation):
            self._meet(number, block, block.waiting, frame)
        else:
            for operation in block.operations:
                operation(frame)
            self.registers.keep(block)
            self._go_on(number, block, frame)
        return True

    def _end_wave(self) -> bool:
        """All threads have ended: what they wrote is there."""
        if self._delayed:
            self._delayed.publish_all()
        return False

    def _go_on(self, number: int, block: Block, frame: Frame) -> None:
        """Send threads to the blocks that they run next."""
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
        if to <= number and self._program.basics[number].loop in self._program.polling_loops:
            self.schedule.spin(to)
            self._watch_spinning()

    def _watch_spinning(self) -> None:
        """Stop once threads have looped very often without any progress."""
        progress, rounds = self._vain
        if rounds % _PATIENT_ROUNDS == _PATIENT_ROUNDS - 1:
            self.schedule.release_laggards()
            if self._delayed:
                self._delayed.publish_some()
                self.progress += 1
        if progress != self.progress:
            self._vain = (self.progress, 0)
            return
        self._vain = (progress, rounds + 1)
        if rounds >= _VAIN_ROUNDS:
            self.stop("threads wait in a loop for something that no other thread does")

    def stop(self, message: str) -> None:
        """Report a deadlock, and end all threads that still run."""
        self._barriers = Barriers(self)  # they would have waited for ever
        turn = self.schedule.take()
        while turn is not None:
            number, ids = turn
            instructions = self._program.basics[number].instructions
            self.report("deadlock", instructions[0] if instructions else _END, ids, message)
            self.end(ids)
            turn = self.schedule.take()
        self.schedule.parked.clear()
        self._end_wave()

    def end(self, ids: Array) -> None:
        """Threads end."""
        self.alive -= np.bincount(self.threads.block[ids], minlength=len(self.alive))
        bits = np.left_shift(np.uint32(1), self.threads.lane[ids].astype(U32))
        np.bitwise_and.at(self._warp_alive, self.threads.warp[ids], ~bits)
        self.order.end(ids + self.first_thread)
        self.progress += 1
        self._barriers.look_again()
        self.schedule.unpark()

    def blocks_with_cut_warps(self) -> Array:
        """For each block whether some lanes of a warp have ended, and others not."""
        is_cut = (self._warp_alive != 0) & (self._warp_alive != self.threads.warp_masks())
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
        is_whole = frame.ids is self.registers.everyone and not isinstance(mask, np.ndarray)
        is_whole = is_whole and mask == _ALL_LANES
        masks = spread(mask, frame.size)
        if operation.mask is not None and not is_whole:
            ids, ready = frame.ids, self._are_together(frame.ids, masks)
            if not force and not ready.all():
                self.schedule.park(number, ids[~ready])
                if not ready.any():
                    return
                masks = masks[ready]
                frame = self.registers.fill(block, ids[ready])
            self._check_own_bit(operation, frame, masks)
        if operation.puts:
            lanes = self.registers.lanes
            if not (is_whole and shuffle_all(operation, frame, lanes)):
                perform(operation, frame, lanes, masks)
            self.registers.keep(block)
        else:
            time = self.tick(operation.instruction)
            self.order.warp_barrier(frame.ids + self.first_thread, masks, time)
        self._go(number, block.basic.successors[0], frame.ids)

    def _are_together(self, ids: Array, masks: Array) -> Array:
        """Whether all living lanes that each thread's mask names are among ``ids``."""
        alive = self._warp_alive[self.threads.warp[ids]]
        missing = masks & alive & ~self.registers.lanes.present
        is_complete: Array = missing == 0
        return is_complete

    def _check_own_bit(self, operation: WarpOperation, frame: Frame, masks: Array) -> None:
        is_absent = (masks & self.registers.lanes.bit) == 0
        if is_absent.any():
            self.report(
                "warp", operation.instruction, frame.ids[is_absent],
                "a lane runs a warp operation whose mask does not name it",
            )  # fmt: skip

    def _resolve(self) -> bool:
        """Report the threads that wait in vain, and let them go on; False once all have ended."""
        if not self.schedule.parked:
            return self._barriers.give_up()
        number = min(self.schedule.parked)
        ids = np.sort(np.concatenate(self.schedule.parked.pop(number)))
        block = self._program.block(number)
        if isinstance(block.waiting, WarpOperation):  # nobody else is parked
            self.report(
                "warp", block.waiting.instruction, ids,
                "lanes wait at a warp operation that others in its mask never reach",
            )  # fmt: skip
            self._meet(number, block, block.waiting, self.registers.fill(block, ids), force=True)
        return True

    def fence(self, ids: Array, instruction: Instruction, *, in_block: bool) -> None:
        """Threads run a fence."""
        if self._delayed:
            self._delayed.publish_fenced(ids, self.order.acquired[ids + self.first_thread])
        self.order.fence(ids + self.first_thread, self.tick(instruction), in_block=in_block)

    def regions(self, space: str) -> Mapping[int, Region]:
        """Return the regions of a space by their windows."""
        if space == "global":
            return self._context.memory.regions
        return self._shared.regions if space == "shared" else self._local.regions

    def block_of(self, ids: Array) -> Array:
        """Return the place in the wave of each thread's block."""
        blocks = self.threads.block
        places: Array = blocks if ids is self.registers.everyone else blocks[ids]
        return places

    def address_of(self, name: str) -> int:
        """The address of a variable in its own space."""
        for private in (self._shared, self._local):
            if name in private.addresses:
                return private.addresses[name]
        return self._context.address_of(name)

    def report(
        self, kind: str, instruction: Instruction, ids: Array, message: str, **facts: Any
    ) -> None:
        """Note a finding at an instruction, for these threads of the wave."""
        place = self.threads.place_of(int(ids[0]))
        self._context.report(kind, instruction, place, len(ids), message, **facts)
