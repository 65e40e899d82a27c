"""One launch of a kernel: its arguments, its waves of blocks, what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, cast

import numpy as np

from pluginkit.errors import KernelError
from pluginkit.ptx.code.program import Program
from pluginkit.ptx.code.special_registers import Three, uniform_values
from pluginkit.ptx.findings import Finding, Kind
from pluginkit.ptx.machine.machine import Machine
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.memory.buffers import Buffer, Memory, Pointer
from pluginkit.ptx.memory.order import Order
from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.immediates import number
from pluginkit.ptx.text.syntax import Immediate, Instruction, Symbol, Variable
from pluginkit.ptx.types import DTYPES, U8, Array

#: A kernel's argument: a buffer, a place in one, bytes as they are, or a numpy scalar.
Argument = Buffer | Pointer | bytes | np.generic

_WAVE_THREADS = 1 << 17
_WAVE_SHARED_BYTES = 16 << 20
_WAVE_LOCAL_BYTES = 64 << 20
DEFAULT_STEPS = 2_000_000


@dataclass
class Result:
    """What a launch did.

    Attributes:
        findings: what is wrong, in the order in which it was seen; one for each instruction, kind
            and buffer.
        printed: what the kernel printed, one text for each call of ``printf``.
        steps: how many blocks of code ran.
        ended: whether all threads ended by themselves.
    """

    findings: list[Finding] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    steps: int = 0
    ended: bool = True


class Launch:
    """A kernel that runs, or is about to; made by :meth:`pluginkit.ptx.PtxModule.start`.

    Attributes:
        result: what came out so far.
        machine: the wave that runs.
    """

    def __init__(
        self,
        program: Program,
        grid: Three,
        block: Three,
        arguments: Sequence[Argument],
        shared_bytes: int,
        memory: Memory,
        statics: dict[str, Region],
        seed: int | None,
    ) -> None:
        self.program, self.memory = program, memory
        self.grid, self.block = grid, block
        self.result = Result()
        self.printed = self.result.printed
        self.history: list[Instruction] = [Instruction("", (), ())]
        self._found: dict[tuple[object, ...], int] = {}
        self._parameters = self._packed(arguments)
        self.addresses = {name: region.base for name, region in statics.items()}
        self.shared_sizes, self.local_sizes = self._private_sizes(shared_bytes)
        static_bytes = sum(self.shared_sizes.values()) - shared_bytes
        self.uniform = uniform_values(grid, block, shared_bytes, max(static_bytes, 0))
        self._per_block = prod(block)
        blocks = prod(grid)
        self.order = Order(blocks * self._per_block, self._per_block)
        self._schedule = np.arange(blocks)
        self._warps = np.arange(-(-self._per_block // 32))
        if seed is not None:
            self._shuffle(np.random.default_rng(seed))
        memory.begin_launch()
        self._waves = self._wave_sizes(blocks)
        self._next_block = 0
        self._machines: list[tuple[int, Threads]] = []
        self.machine: Machine | None = self._next_wave()

    def _shuffle(self, rng: np.random.Generator) -> None:
        """Another order of blocks, and of the whole warps in each."""
        rng.shuffle(self._schedule)
        whole = self._per_block // 32
        rng.shuffle(self._warps[:whole])

    def _packed(self, arguments: Sequence[Argument]) -> dict[str, Array]:
        parameters = self.program.function.parameters
        given = [_bytes_of(argument) for argument in arguments]
        sizes = [len(each) for each in given]
        wanted = list(self.program.parameter_sizes)
        if sizes != wanted:
            raise KernelError(
                "PK352",
                f"kernel '{self.program.function.name}': arguments have {sizes} bytes; "
                f"expected {wanted}.",
            )
        return {
            parameter.name: np.frombuffer(each, U8)
            for parameter, each in zip(parameters, given, strict=True)
        }

    def _private_sizes(self, shared_bytes: int) -> tuple[dict[str, int], dict[str, int]]:
        program = self.program
        declared = {**program.module.variables, **program.function.variables}
        used = program.slots.named_variables
        shared = {}
        for variable in declared.values():
            if variable.space == "shared" and variable.name in used:
                shared[variable.name] = variable.nbytes or shared_bytes
        local = {
            variable.name: variable.nbytes
            for variable in declared.values()
            if variable.space in ("local", "param") and variable.name in used
        }
        return shared, local

    def _wave_sizes(self, blocks: int) -> Iterator[int]:
        """How many blocks run at once: of each wave."""
        most = _WAVE_THREADS // self._per_block
        for sizes, owners, limit in (
            (self.shared_sizes, 1, _WAVE_SHARED_BYTES),
            (self.local_sizes, self._per_block, _WAVE_LOCAL_BYTES),
        ):
            each = sum(sizes.values()) * owners
            most = min(most, limit // each) if each else most
        size = max(1, most)
        for first in range(0, blocks, size):
            yield min(size, blocks - first)

    def _next_wave(self) -> Machine | None:
        size = next(self._waves, 0)
        if not size:
            return None
        first = self._next_block
        self._next_block += size
        threads = Threads(self.grid, self.block, self._schedule[first : first + size], self._warps)
        first_thread = first * self._per_block
        self._machines.append((first_thread, threads))
        return Machine(self, threads, first_thread)

    def run(self, steps: int = DEFAULT_STEPS) -> Result:
        """Run to the end.

        Args:
            steps: stop, with a finding, after so many blocks of code.
        """
        while self.machine is not None:
            left = steps - self.result.steps
            self.result.steps += self.machine.run(left)
            if self.result.steps >= steps:
                self.machine.stop(f"the kernel has not ended after {steps} steps.")
                self.result.ended = False
                break
            self.machine = self._next_wave()
        return self.result

    def step(self) -> bool:
        """Run one block of code for one group of threads; False once all threads have ended."""
        if self.machine is None:
            return False
        with np.errstate(all="ignore"):
            if self.machine.step():
                self.result.steps += 1
                return True
        self.machine = self._next_wave()
        return self.machine is not None

    def register(self, name: str) -> Array | None:
        """What a register, ``"%r1"``, holds in every thread of the wave that runs.

        Registers are kept from one step to the next only where later code reads them.
        """
        return None if self.machine is None else self.machine.register(name)

    def tick(self, instruction: Instruction) -> int:
        """The next moment, and what happens then."""
        self.history.append(instruction)
        return len(self.history) - 1

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any]) -> Any:
        """A value in a parameter."""
        whole = self._parameters[name]
        return whole[offset : offset + dtype.itemsize].view(dtype)[0]

    def place_of(self, thread: int) -> tuple[Three, Three]:
        """``blockIdx`` and ``threadIdx`` of a thread by its number in the launch."""
        first, threads = next(
            (first, threads) for first, threads in reversed(self._machines) if first <= thread
        )
        return threads.place_of(thread - first)

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
        """Note a finding; of equal ones the first is kept, and counted."""
        key = (kind, id(instruction), buffer)
        findings = self.result.findings
        if key in self._found:
            index = self._found[key]
            findings[index] = replace(findings[index], threads=findings[index].threads + threads)
            return
        self._found[key] = len(findings)
        file, line = self._source(instruction)
        other_line = self._source(other)[1] if other is not None else None
        findings.append(
            Finding(
                cast(Kind, kind), self.program.function.name, message, file, line, *place, threads,
                buffer, offset, address, other_line, instruction.text,
            )
        )  # fmt: skip

    def _source(self, instruction: Instruction) -> tuple[str | None, int | None]:
        location = instruction.location
        if location is None:
            return None, None
        return self.program.module.files.get(location.file), location.line


def _bytes_of(argument: Argument) -> bytes:
    if isinstance(argument, (Buffer, Pointer)):
        return argument.address.to_bytes(8, "little")
    return argument if isinstance(argument, bytes) else argument.tobytes()


def place_statics(module_variables: dict[str, Variable], memory: Memory) -> dict[str, Region]:
    """Put a module's global and constant variables into memory, with what they hold at first."""
    placed: dict[str, Region] = {}
    for variable in module_variables.values():
        if variable.space in ("global", "const"):
            placed[variable.name] = memory.add(
                variable.name, variable.nbytes, "static", is_written=True
            )
    for name, region in placed.items():
        values = module_variables[name].values
        if values:
            _initialise(region, module_variables[name], values, placed)
    return placed


def _initialise(
    region: Region, variable: Variable, values: tuple[Any, ...], placed: dict[str, Region]
) -> None:
    dtype = DTYPES[variable.type]
    view = region.view(dtype)
    for index, value in enumerate(values):
        if isinstance(value, Immediate):
            view[index] = number(value.text, dtype, variable.type)
        elif isinstance(value, Symbol) and value.name in placed:
            view[index] = placed[value.name].base + value.offset
