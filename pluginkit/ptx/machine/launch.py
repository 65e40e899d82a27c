"""Run a launch of a kernel, at once or step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pluginkit.ptx.code.program import Program
from pluginkit.ptx.machine.launch_arguments import LaunchArgument, packed_arguments, private_sizes
from pluginkit.ptx.machine.launch_state import LaunchState, Result
from pluginkit.ptx.machine.machine import Machine
from pluginkit.ptx.machine.waves import Waves
from pluginkit.ptx.memory.buffers import Memory
from pluginkit.ptx.types import Array, Three

DEFAULT_STEPS = 2_000_000


class RunningLaunch:
    """A launch that has been started, by :meth:`pluginkit.ptx.PtxModule.start`.

    Attributes:
        result: the result so far.
    """

    def __init__(
        self,
        program: Program,
        grid: Three,
        block: Three,
        arguments: Sequence[LaunchArgument],
        shared_bytes: int,
        memory: Memory,
        seed: int | None,
        *,
        overlaps: bool = False,
        is_cooperative: bool = False,
    ) -> None:
        sizes = private_sizes(program, shared_bytes)
        parameters = packed_arguments(program, arguments)
        self._launch = LaunchState(
            program, memory, parameters, sizes, grid, block, shared_bytes, overlaps=overlaps
        )
        self.result: Result = self._launch.result
        memory.begin_launch(self._launch.earlier)
        may_wait = program.may_wait_for_blocks and not is_cooperative
        has_clocks = program.has_meetings_of_parts
        self._waves = Waves(grid, block, sizes, seed, may_wait=may_wait, has_clocks=has_clocks)
        self._machine: Machine | None = self._next_wave()

    def _next_wave(self) -> Machine | None:
        wave = self._waves.take()
        return None if wave is None else Machine(self._launch, self._waves, *wave)

    def run(self, steps: int = DEFAULT_STEPS) -> Result:
        """Run to the end.

        Args:
            steps: after this many basic blocks the launch stops, with a finding.
        """
        with np.errstate(all="ignore"):
            while self._machine is not None:
                if self.result.steps >= steps:
                    self._machine.stop(f"the kernel has not ended after {steps} steps")
                    self.result.ended = False
                    break
                self._step(self._machine)
        return self.result

    def step(self) -> bool:
        """Run one basic block for one group of threads; False once all threads have ended."""
        if self._machine is None:
            return False
        with np.errstate(all="ignore"):
            self._step(self._machine)
        return self._machine is not None

    def _step(self, machine: Machine) -> None:
        if machine.step():
            self.result.steps += 1
        else:
            self._machine = self._next_wave()

    @property
    def place(self) -> str:
        """The file and line of the code that runs next."""
        return "the end" if self._machine is None else self._machine.place

    def register(self, name: str) -> Array | None:
        """Return a register such as ``"%r1"`` for every thread of the current wave.

        None means that no instruction has used it yet. A register keeps its value from one step to
        the next only if later code reads it.
        """
        return None if self._machine is None else self._machine.registers.value(name)
