"""Use the PTX machine as a device: buffers with addresses, and enqueues that work on them.

Whoever hands pointers to an enqueue, an adapter or a check, can hand it these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.contract import calls
from pluginkit.contract.launches import Copy, CudaKernel, Launch
from pluginkit.contract.tensors import Slot, TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import PackedArgument, check_parameters
from pluginkit.kernels.enqueue_steps import EnqueueSteps, enqueue_steps, nbytes_of, three
from pluginkit.kernels.prepare import Prepared, check_pointers, preparing_with
from pluginkit.kernels.ptx_code import PtxCode, compile_ahead, ptx_code
from pluginkit.kernels.specialise import specialise, type_bindings
from pluginkit.ptx import Buffer, Finding, Memory, PtxModule, Role, RunningLaunch, parse

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: What outputs and workspace hold before anything is written.
POISON = 0xA5


#: The device on which enqueues work, instead of the one for which they were prepared.
_working: ContextVar[PtxDevice | None] = ContextVar("working", default=None)


class Unwritten(Finding):
    """Bytes of an output that no step of an enqueue has written."""

    def __init__(self, buffer: str, offset: int, missing: int, nbytes: int) -> None:
        what = f"{missing} of {nbytes} bytes of {buffer} were never written"
        kind: Any = "unwritten"
        super().__init__(
            kind,
            "",
            f"{what}, the first at {offset}.",
            file=None,
            line=None,
            block=(0, 0, 0),
            thread=(0, 0, 0),
            buffer=buffer,
            offset=offset,
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class PtxBuffer:
    """The memory of one tensor, or the workspace.

    Attributes:
        name: how findings call it.
        nbytes: its size.
        pointer: its address.
    """

    def __init__(self, buffer: Buffer, findings: Sequence[Finding]) -> None:
        self._buffer = buffer
        self._findings = findings
        self.name, self.nbytes, self.pointer = buffer.name, buffer.nbytes, buffer.address

    def write(self, data: bytes) -> None:
        """Write the whole content."""
        self._buffer.fill(0)
        self._buffer.bytes[:] = np.frombuffer(data, np.uint8)

    def fill(self, byte: int) -> None:
        """Mark every byte as undefined, and set it to ``byte`` so that a read is noticed."""
        self._buffer.bytes[:] = byte
        if self._buffer.region.written is not None:
            self._buffer.region.written[:] = 0

    def read(self) -> bytes:
        """Return its content."""
        return bytes(self._buffer.bytes.tobytes())

    def damage(self) -> str | None:
        """Return the first access outside it, or forbidden write to it, in words, or None."""
        kinds = ("out_of_bounds", "input_written")
        owners = (self.name, None)  # an address may be too far from any buffer to have an owner
        found = (f for f in self._findings if f.buffer in owners and f.kind in kinds)
        return next(map(str, found), None)

    def unwritten(self, nbytes: int) -> Unwritten | None:
        """Return what of the first ``nbytes`` bytes nothing has written, or None."""
        offsets = self._buffer.unwritten()
        missing = int((offsets < nbytes).sum())
        if not missing:
            return None
        return Unwritten(self.name, int(offsets[0]), missing, nbytes)


class PtxDevice:
    """The machine's memory, and the launches that it has watched.

    Args:
        seconds_left: asked before each launch how much of the processor's time it may take, None
            for as much as it does.
        seed: of an order in which blocks and warps advance; None for the plain one.
        on_launch: gets each launch before it runs, and may step it and read its registers.

    Attributes:
        memory: the buffers.
        findings: what was wrong in the enqueues so far.
        printed: what their kernels have printed.
    """

    def __init__(
        self,
        seconds_left: Callable[[], float | None] = lambda: None,
        *,
        seed: int | None = None,
        on_launch: Callable[[RunningLaunch], None] = lambda launch: None,
    ) -> None:
        self.memory = Memory()
        self.findings: list[Finding] = []
        self.printed: list[str] = []
        self._seconds_left = seconds_left
        self._seed = seed
        self._on_launch = on_launch

    def buffer(self, name: str, nbytes: int, *, is_input: bool = False) -> PtxBuffer:
        """Add a buffer; kernels may not write to an input's.

        Errors:
            PK352: the name is taken.
        """
        role: Role = "input" if is_input else "workspace"
        return PtxBuffer(self.memory.buffer(name, nbytes, role, poison=POISON), self.findings)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let this thread's enqueues work here in the body, even those prepared elsewhere."""
        token = _working.set(self)
        try:
            with preparing_with(self.prepare):
                yield
        finally:
            _working.reset(token)

    def prepare(
        self, plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
    ) -> Prepared:
        """Make the plugin's enqueue ready here, as ``kernels.prepare.prepare`` does on a GPU.

        Errors:
            PK300 to PK306, PK310, PK320, PK321.  PK356: the plugin overrides enqueue.
        """
        owner = type(plugin).__name__
        if "enqueue" in plugin.spec.overrides:
            raise KernelError(
                "PK356",
                f"{owner}: the PTX machine runs no enqueue of one's own; expected launches().",
                fix="run it on a GPU, or write launches().",
            )
        work = enqueue_steps(plugin, inputs, outputs)
        bindings = type_bindings(plugin, inputs, outputs)
        wanted = [specialise(plugin, bindings, launch) for launch in work.launches]
        compile_ahead(wanted)
        codes = [ptx_code(one) for one in wanted]
        for launch, listed, code in zip(work.launches, work.parameters, codes, strict=True):
            check_parameters(owner, launch.kernel.name, listed, code.parameter_sizes)
        return _PreparedOnMachine(self, work, codes)

    def place(self, address: int) -> tuple[Buffer, int]:
        """Return the buffer that an address is in or at the end of, and the offset in bytes."""
        for buffer in self.memory.buffers.values():
            if 0 <= address - buffer.address <= buffer.nbytes:
                return buffer, address - buffer.address
        raise KernelError("PK355", f"{address:#x} is no address of a buffer; expected one.")

    def launch(
        self, launch: Launch, code: PtxCode, arguments: Sequence[bytes], *, follows_launch: bool
    ) -> None:
        """Run one kernel, its pointers being addresses of this memory.

        Args:
            launch: the launch.
            code: its kernel.
            arguments: the bytes of each.
            follows_launch: whether the step before is a launch too, which the kernel may overlap.

        Errors:
            PK351: the machine does not know an instruction.  PK357: it takes too long.
        """
        kernel = launch.kernel
        started = _module(code.text).start(
            code.symbol,
            three(launch.grid),
            three(launch.block),
            arguments,
            memory=self.memory,
            shared_bytes=launch.shared_bytes,
            seed=self._seed,
            overlaps=follows_launch and isinstance(kernel, CudaKernel) and kernel.overlaps,
        )
        self._on_launch(started)
        seconds = self._seconds_left()
        if seconds is None:
            started.run()
        else:
            _run_for(seconds, started, kernel.name)
        self.findings += started.result.findings
        self.printed += started.result.printed


@lru_cache(maxsize=64)
def _module(text: str) -> PtxModule:
    return parse(text)


def _run_for(seconds: float, started: RunningLaunch, name: str) -> None:
    end = time.process_time() + seconds
    while started.step():
        if time.process_time() <= end:
            continue
        if started.result.findings:  # what it has done so far is wrong already
            return
        raise KernelError(
            "PK357",
            f"kernel '{name}' takes longer on the PTX machine than {seconds:.1f} s; "
            "expected an end.",
            where=f"{started.place}, after {started.result.steps} steps",
            fix="allow more time, or run a smaller case; look whether a loop there ends.",
        )


class _PreparedOnMachine:
    """An enqueue of launches, copies and fills; see :class:`Prepared`."""

    def __init__(self, device: PtxDevice, work: EnqueueSteps, codes: Sequence[PtxCode]) -> None:
        self._device = device
        self._work = work
        self._codes = codes

    def enqueue(
        self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int
    ) -> None:
        """Run every step; see :meth:`Prepared.enqueue`."""
        check_pointers(self._work.owner, inputs, outputs, self._work.pointers)
        device = _working.get() or self._device
        pointers = {"input": inputs, "output": outputs, "workspace": [workspace]}

        def address(slot: Slot) -> int:
            return pointers[slot.kind][slot.index] + slot.offset

        launches = iter(zip(self._codes, self._work.parameters, strict=True))
        for before, step in zip((None, *self._work.steps), self._work.steps, strict=False):
            if isinstance(step, Launch):
                code, listed = next(launches)
                arguments = [_argument(part, address) for part in listed]
                follows_launch = isinstance(before, Launch)
                device.launch(step, code, arguments, follows_launch=follows_launch)
                continue
            target, start = device.place(address(step.target.slot))
            if isinstance(step, Copy):
                source, source_start = device.place(address(step.source.slot))
                target.copy_from(source, nbytes_of(step.source), start, source_start)
            else:
                target.fill(step.byte, start, start + nbytes_of(step.target))


def _argument(part: PackedArgument, address: Callable[[Slot], int]) -> bytes:
    return address(part).to_bytes(8, "little") if isinstance(part, Slot) else part
