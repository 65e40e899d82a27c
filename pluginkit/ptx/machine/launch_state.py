"""What the waves of one launch share: the kernel, memory, time, and the findings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, cast

import numpy as np

from pluginkit.ptx.code.program import Program
from pluginkit.ptx.code.special_registers import uniform_values
from pluginkit.ptx.findings import Finding, Kind
from pluginkit.ptx.machine.launch_arguments import PrivateSizes, static_region
from pluginkit.ptx.memory.buffers import Memory
from pluginkit.ptx.memory.earlier_launches import EarlierLaunches
from pluginkit.ptx.memory.happens_before import HappensBefore
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import Array, Three

#: How far clocks advance with each basic block, so that kernels that wait for them end.
_CYCLES_OF_STEP = 10_000
#: How far they advance from the begin of one launch to that of the next.
_CYCLES_OF_LAUNCH = 2**32


@dataclass
class Result:
    """The result of a launch.

    Attributes:
        findings: the mistakes in the order in which they were found; one for each instruction, kind
            and buffer.
        printed: what the kernel printed, one text for each call of ``printf``.
        steps: how many basic blocks ran, each for one group of threads.
        ended: whether every thread reached its end.
    """

    findings: list[Finding] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    steps: int = 0
    ended: bool = True


class LaunchState:
    """The state of a launch.

    Args:
        program: the kernel.
        memory: global memory.
        parameters: the bytes of each parameter.
        sizes: the memory of each block and thread.
        grid: the launch's grid.
        block: its block.
        shared_bytes: the dynamic shared memory of a block.
        overlaps: whether it may begin before the launches before it have ended.

    Attributes:
        order: which access happens before which.
        earlier: which threads have waited for earlier launches; None if these have ended.
        uniform: the values of the special registers that all threads share.
        result: the result so far.
    """

    def __init__(
        self,
        program: Program,
        memory: Memory,
        parameters: dict[str, Array],
        sizes: PrivateSizes,
        grid: Three,
        block: Three,
        shared_bytes: int,
        *,
        overlaps: bool,
    ) -> None:
        self.program, self.memory, self.sizes = program, memory, sizes
        self._addresses: dict[str, int] = {}
        threads = prod(grid) * prod(block)
        self.order = HappensBefore(threads, prod(block), has_clocks=program.has_meetings_of_parts)
        self.earlier = EarlierLaunches(threads, prod(block)) if overlaps else None
        self.uniform = uniform_values(grid, block, shared_bytes, sizes.static_bytes)
        self.result = Result()
        self._began = memory.launches * _CYCLES_OF_LAUNCH
        memory.launches += 1
        self._parameters = parameters
        self._history = [Instruction("", (), ())]
        self._found: dict[tuple[str, int, str | None], int] = {}

    def tick(self, instruction: Instruction) -> int:
        """Advance the time by one, note which instruction runs then, and return the time."""
        self._history.append(instruction)
        return len(self._history) - 1

    def clock(self) -> int:
        """Return the cycles since the first launch began."""
        return self._began + self.result.steps * _CYCLES_OF_STEP

    def instruction_at(self, time: int) -> Instruction:
        """Return the instruction that ran at a time."""
        return self._history[time]

    def address_of(self, name: str) -> int:
        """Return the address of a variable in global memory, or of a parameter."""
        if name in self._addresses:
            return self._addresses[name]
        of_function = self.program.module.function_address(name)
        if of_function is not None:
            self._addresses[name] = of_function
        elif name not in self._parameters:
            region = static_region(self.program.module, name, self.memory)
            self._addresses[name] = region.base
        else:
            region, start = self.memory.parameters(), 0
            for parameter in self.program.function.parameters:
                start = -(-start // parameter.align) * parameter.align
                region.data[start : start + parameter.nbytes] = self._parameters[parameter.name]
                self._addresses[parameter.name] = region.base + start
                start += parameter.nbytes
        return self._addresses[name]

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any]) -> Any:
        """Return a value in a kernel parameter."""
        return self._parameters[name][offset : offset + dtype.itemsize].view(dtype)[0]

    def report(
        self,
        kind: str,
        instruction: Instruction,
        place: tuple[Three, Three],
        threads: int,
        message: str,
        *,
        buffer: str | None = None,
        offset: int | None = None,
        address: int | None = None,
        other: Instruction | None = None,
    ) -> None:
        """Add a finding, or count its threads to the one of the same instruction and buffer."""
        key, findings = (kind, id(instruction), buffer), self.result.findings
        if key in self._found:
            index = self._found[key]
            findings[index] = replace(findings[index], threads=findings[index].threads + threads)
            return
        self._found[key] = len(findings)
        file, line, call = self._source(instruction)
        _, other_line, other_call = self._source(other) if other is not None else (None,) * 3
        findings.append(
            Finding(
                cast(Kind, kind), self.program.function.name, message, file, line, *place, threads,
                buffer, offset, address, other_line, instruction.text, call, other_call,
            )
        )  # fmt: skip

    def place_of(self, instruction: Instruction) -> str:
        """Return the file and line of an instruction, or its text where they are unknown."""
        file, line, _ = self._source(instruction)
        return instruction.text if file is None else f"{file}:{line}"

    def _source(self, instruction: Instruction) -> tuple[str | None, int | None, int | None]:
        """Return the file and line, and the line from which the kernel calls their function."""
        location, module = instruction.location, self.program.module
        if location is None:
            return None, None, None
        file, line = module.author_place(location)
        call = location
        while call.inlined_at is not None:
            call = call.inlined_at
        caller, call_line = module.author_place(call)
        is_own = (caller, call_line) == (file, line) or caller != file
        return (None if file == "?" else file), line, None if is_own else call_line
