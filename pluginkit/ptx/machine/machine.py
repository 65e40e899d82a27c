"""Run the threads of one wave, one basic block after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pluginkit.ptx.code.basic_blocks import END
from pluginkit.ptx.code.frame import Frame, broadcast
from pluginkit.ptx.code.program import DecodedBlock
from pluginkit.ptx.effects.synchronisation import Barrier
from pluginkit.ptx.effects.warp_operation import WarpOperation
from pluginkit.ptx.machine.barriers import Barriers
from pluginkit.ptx.machine.delayed_warps import DelayedWarps
from pluginkit.ptx.machine.launch_state import LaunchState
from pluginkit.ptx.machine.live_threads import LiveThreads
from pluginkit.ptx.machine.registers import WaveRegisters
from pluginkit.ptx.machine.scheduler import Scheduler
from pluginkit.ptx.machine.split_warps import SplitWarps
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.machine.warp_operations import run_uniform_shuffle, run_warp_operation
from pluginkit.ptx.machine.waves import Waves
from pluginkit.ptx.memory.bulk_copies import BulkCopies
from pluginkit.ptx.memory.checked_memory import CheckedMemory
from pluginkit.ptx.memory.delayed_writes import DelayedWrites
from pluginkit.ptx.memory.mbarriers import Mbarriers
from pluginkit.ptx.memory.pending_copies import PendingCopies
from pluginkit.ptx.memory.regions import PrivateMemory, Region
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array

#: A kernel that polls this often without any progress is stopped as a deadlock.
_IDLE_POLLS_OF_DEADLOCK = 2_000
#: After this many polls, or steps, some delayed warps and writes go on: others may wait for them.
_POLLS_BETWEEN_RELEASES, _STEPS_BETWEEN_RELEASES = 64, 2048
_ALL_LANES = np.uint32(0xFFFFFFFF)


class Machine:
    """The threads of one wave of a launch.

    Args:
        launch: the state that all waves of the launch share.
        waves: the launch's waves.
        threads: the threads of this wave.
        first_thread: the number in the launch of the first one.

    Attributes:
        registers: the threads' registers.
        scheduler: decides which threads run next.
        live: the threads that have not ended.
        progress: grows whenever something happens that a thread can wait for.
    """

    def __init__(
        self, launch: LaunchState, waves: Waves, threads: Threads, first_thread: int
    ) -> None:
        self._launch, self._waves = launch, waves
        self.threads, self.first_thread = threads, first_thread
        self._program, self.order, self.earlier = launch.program, launch.order, launch.earlier
        self.printed, self.progress, seed = launch.result.printed, 0, waves.seed
        self.tick, self.clock, self.indices_of = launch.tick, launch.clock, waves.indices_of
        self.parameter, self.instruction_at = launch.parameter, launch.instruction_at
        self._delayed = None if seed is None else DelayedWrites(threads.per_block, seed)
        self.memory = CheckedMemory(self, self._delayed)
        sizes = launch.sizes
        self._shared = PrivateMemory("shared", sizes.shared, len(threads.blocks), sizes.dynamic)
        self._local = PrivateMemory("local", sizes.local, threads.count)
        self.order.begin_wave(first_thread, len(threads.blocks))
        self.copies, self.live = PendingCopies(threads.count), LiveThreads(threads)
        self.registers = WaveRegisters(self._program.slots, threads, launch.uniform, self)
        delayed_warps = None
        if seed is not None and self._program.signalling_blocks:
            delayed_warps = DelayedWarps(threads, self._program.signalling_blocks, seed)
        self.scheduler, self._barriers = Scheduler(delayed_warps), Barriers(self)
        self.mbarriers = Mbarriers(self, self.memory, threads.count, self.scheduler.wake)
        self.bulk_copies = BulkCopies(self, self.memory, self.mbarriers)
        self._split_warps = None
        if seed is not None and self._program.volatile_blocks:
            self._split_warps = SplitWarps(self._program.volatile_blocks, seed)
        self._idle_polls, self._steps = (0, 0), 0
        self.scheduler.push(0, self.registers.all_ids)

    def step(self) -> bool:
        """Run one basic block for the threads whose turn it is; False once all have ended."""
        self._steps += 1
        if self._delayed and self._steps % _STEPS_BETWEEN_RELEASES == 0:
            self._delayed.publish_some()
            self.progress += 1
        turn = self.scheduler.take()
        if turn is None:
            return self._resolve_stall() or self._end_wave()
        number, ids = turn
        if self._split_warps is not None:
            ids, later = self._split_warps.split(number, ids)
            self.scheduler.push(number, later)
        block = self._program.decoded_block(number)
        frame = self.registers.fill(block, ids)
        if isinstance(block.synchronisation, Barrier):
            self._barriers.arrive(block.synchronisation, frame, block.basic.successors[0])
        elif isinstance(block.synchronisation, WarpOperation):
            self._run_warp_operation(number, block, block.synchronisation, frame)
        else:
            for operation in block.operations:
                operation(frame)
            self.registers.keep(block)
            self._branch(number, block, frame)
        return True

    def _end_wave(self) -> bool:
        """End the wave: writes that were still delayed reach memory."""
        self.bulk_copies.end_wave()
        if self._delayed:
            self._delayed.publish_all()
        return False

    def _branch(self, number: int, block: DecodedBlock, frame: Frame) -> None:
        """Send threads to the basic blocks that they run next."""
        basic = block.basic
        if block.condition is None:
            self._jump(number, basic.successors[0], frame.ids)
            return
        condition = broadcast(block.condition(frame), frame.size)
        if basic.branch is not None and basic.branch.opcode == "brx":
            for index, to in enumerate(basic.successors):
                self._jump(number, to, frame.ids[condition == index])
            return
        taken, other = basic.successors
        count = np.count_nonzero(condition)
        if count == frame.size:
            self._jump(number, taken, frame.ids)
        elif not count:
            self._jump(number, other, frame.ids)
        else:
            self._jump(number, taken, frame.ids[condition])
            self._jump(number, other, frame.ids[~condition])

    def _jump(self, number: int, to: int, ids: Array) -> None:
        if not len(ids):
            return
        if to == END:
            self.end(ids)
            return
        if to in self._program.endless_blocks:
            first = self._program.basic_blocks[to].first
            self.report("deadlock", first, ids, "threads enter a loop that has no way out")
            self.end(ids)
            return
        loop = self._program.basic_blocks[number].loop
        is_poll = to <= number and loop in self._program.polling_loops
        if is_poll and self.mbarriers.waits.take_failed():
            self.scheduler.rest(to, ids)
            self._count_polls()
            return
        self.scheduler.push(to, ids)
        if is_poll:
            self.scheduler.note_poll(to)
            self._count_polls()

    def _count_polls(self) -> None:
        """Count polls, and stop the kernel once there were very many without any progress."""
        progress, polls = self._idle_polls
        if polls % _POLLS_BETWEEN_RELEASES == _POLLS_BETWEEN_RELEASES - 1:
            self.scheduler.release_delayed_warps()
            if self._delayed:
                self._delayed.publish_some()
                self.progress += 1
        if progress != self.progress:
            self._idle_polls = (self.progress, 0)
            return
        self._idle_polls = (progress, polls + 1)
        if polls >= _IDLE_POLLS_OF_DEADLOCK:
            whom = "other thread" if self._waves.is_last else "thread of this or an earlier block"
            self.stop(f"threads wait in a loop for something that no {whom} does")

    def stop(self, message: str) -> None:
        """Report a deadlock, and end all threads that still run."""
        self._barriers = Barriers(self)  # nobody would release the threads that wait there
        turn = self.scheduler.take()
        while turn is not None:
            number, ids = turn
            if not self.mbarriers.waits.report(ids):
                self.report("deadlock", self._program.basic_blocks[number].first, ids, message)
            self.end(ids)
            turn = self.scheduler.take()
        self.scheduler.parked.clear()
        self._end_wave()

    def end(self, ids: Array) -> None:
        """End threads, and let those go on that waited for them."""
        self.bulk_copies.end(ids)
        self.live.end(ids)
        self.progress += 1
        self._barriers.recheck()
        self.scheduler.unpark()

    def _run_warp_operation(
        self,
        number: int,
        block: DecodedBlock,
        operation: WarpOperation,
        frame: Frame,
        *,
        force: bool = False,
    ) -> None:
        """Run a warp operation in the warps whose lanes have all arrived; park the others."""
        mask = operation.mask(frame) if operation.mask is not None else _ALL_LANES
        is_whole = frame.ids is self.registers.all_ids and not isinstance(mask, np.ndarray)
        is_whole = is_whole and mask == _ALL_LANES
        masks = broadcast(mask, frame.size)
        if operation.mask is not None and not is_whole:
            ids, present = frame.ids, self.registers.lanes.present
            ready = self.live.are_together(ids, masks, present)
            if not force and not ready.all():
                self.scheduler.park(number, ids[~ready])
                if not ready.any():
                    return
                masks = masks[ready]
                frame = self.registers.fill(block, ids[ready])
            self._check_own_bit(operation, frame, masks)
        if operation.is_barrier:
            time = self.tick(operation.instruction)
            self.order.warp_barrier(frame.ids + self.first_thread, masks, time)
        else:
            lanes = self.registers.lanes
            if not (is_whole and run_uniform_shuffle(operation, frame, lanes)):
                run_warp_operation(operation, frame, lanes, masks)
            self.registers.keep(block)
        self._jump(number, block.basic.successors[0], frame.ids)

    def _check_own_bit(self, operation: WarpOperation, frame: Frame, masks: Array) -> None:
        is_absent = (masks & self.registers.lanes.bit) == 0
        if is_absent.any():
            self.report(
                "warp", operation.instruction, frame.ids[is_absent],
                "a lane runs a warp operation whose mask does not name it",
            )  # fmt: skip

    def _resolve_stall(self) -> bool:
        """Report threads that wait for others that never come; False if no thread is left.

        Those at a warp operation then run it without the others, those at a barrier end.
        """
        if not self.scheduler.parked:
            return self._barriers.end_waiting()
        number = min(self.scheduler.parked)
        ids = np.sort(np.concatenate(self.scheduler.parked.pop(number)))
        block = self._program.decoded_block(number)
        if isinstance(block.synchronisation, WarpOperation):  # no other thread is parked
            self.report(
                "warp", block.synchronisation.instruction, ids,
                "lanes wait at a warp operation that others in its mask never reach",
            )  # fmt: skip
            self._run_warp_operation(
                number, block, block.synchronisation, self.registers.fill(block, ids), force=True
            )
        return True

    def fence(self, ids: Array, instruction: Instruction, *, in_block: bool) -> None:
        """Run a fence for some threads."""
        if self._delayed:
            self._delayed.publish_fenced(ids, self.order.waited_at[ids + self.first_thread])
        self.order.fence(ids + self.first_thread, self.tick(instruction), in_block=in_block)

    def regions(self, space: str) -> Mapping[int, Region]:
        """Return the regions of a space by their windows."""
        if space == "global":
            return self._launch.memory.regions
        return self._shared.regions if space == "shared" else self._local.regions

    @property
    def place(self) -> str:
        """The file and line of the code that runs next."""
        number = self.scheduler.next_block
        if number is None:
            return "a barrier or a warp operation"
        return self._launch.place_of(self._program.basic_blocks[number].first)

    def block_of(self, ids: Array) -> Array:
        """Return the place in the wave of each thread's block."""
        blocks = self.threads.block
        places: Array = blocks if ids is self.registers.all_ids else blocks[ids]
        return places

    def address_of(self, name: str) -> int:
        """Return the address of a variable in its own state space."""
        for private in (self._shared, self._local):
            if name in private.addresses:
                return private.addresses[name]
        return self._launch.address_of(name)

    def report(
        self, kind: str, instruction: Instruction, ids: Array, message: str, **facts: Any
    ) -> None:
        """Note a finding at an instruction, for these threads of the wave."""
        place = self.threads.indices_of(int(ids[0]))
        threads = len(np.unique(ids))  # of a bulk copy a thread has one for each 16 bytes
        self._launch.report(kind, instruction, place, threads, message, **facts)
