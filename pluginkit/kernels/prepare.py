"""Prepare an enqueue once for each shape, so that afterwards only pointers change.

Preparing compiles, loads, validates and packs. An enqueue writes pointers and calls the driver. It
does not allocate, compile or synchronise, so a CUDA graph can capture it.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.contract.tensors import DeviceTensor, TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import check_parameters
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.enqueue_code import enqueue_code
from pluginkit.kernels.enqueue_program import EnqueueProgram, ProgramLayout, program_layout
from pluginkit.kernels.enqueue_steps import EnqueueSteps, enqueue_steps
from pluginkit.kernels.known_kernels import kernels_of
from pluginkit.kernels.load import LoadedKernel, cuda_error, current_device

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

    #: Makes an enqueue ready, as :func:`prepare` does.
    Prepare = Callable[[Plugin, calls.Inputs, Sequence[TensorDesc]], "Prepared"]

#: What makes enqueues ready in place of the current device.
_instead: ContextVar[Prepare | None] = ContextVar("instead", default=None)


class Prepared(Protocol):
    """An enqueue prepared for one plugin, one set of shapes and types, and one execution context.

    It is not thread-safe: its calls share the argument memory.
    """

    def enqueue(
        self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int
    ) -> None:
        """Put the work on ``stream``.

        Args:
            inputs: device pointers to the inputs that the node has, in TensorRT's order.
            outputs: device pointers to the outputs.
            workspace: the device pointer to the workspace; ignored if the plugin uses none.
            stream: a ``cudaStream_t``.

        Errors:
            PK330: CUDA refuses the work.  PK332: the number of pointers is wrong.
        """


def prepare(
    plugin: Plugin,
    inputs: calls.Inputs,
    outputs: Sequence[TensorDesc],
    workspace_bytes: int | None = None,
) -> Prepared:
    """Prepare the plugin's enqueue on the current device, or as ``preparing_with`` says.

    Args:
        plugin: the plugin.
        inputs: concrete descriptions from :mod:`pluginkit.contract.calls`.
        outputs: concrete descriptions of the outputs.
        workspace_bytes: what the plugin has answered for these inputs, if it was asked.

    Errors:
        PK300 to PK306, PK310, PK311, PK320 to PK323, PK331.
    """
    instead = _instead.get()
    if instead is not None:
        return instead(plugin, inputs, outputs)
    if "enqueue" in plugin.spec.overrides:
        return PreparedCall(plugin, inputs, outputs)
    return PreparedSteps(*steps_and_kernels(plugin, inputs, outputs, workspace_bytes))


def steps_and_kernels(
    plugin: Plugin,
    inputs: calls.Inputs,
    outputs: Sequence[TensorDesc],
    workspace_bytes: int | None = None,
) -> tuple[EnqueueSteps, list[LoadedKernel]]:
    """Return the steps on the current device and the kernel of each launch; see :func:`prepare`."""
    work = enqueue_steps(plugin, inputs, outputs, workspace_bytes)
    launches = work.launches
    kernels = kernels_of(plugin, inputs, outputs, launches, current_device())
    for launch, listed, kernel in zip(launches, work.parameters, kernels, strict=True):
        check_parameters(work.owner, launch.kernel.name, listed, kernel.parameter_sizes)
        kernel.allow_shared_bytes(launch.shared_bytes)
    return work, kernels


def is_recordable(plugin: Plugin) -> bool:
    """Whether ``prepare`` makes :class:`PreparedSteps` of the plugin."""
    return _instead.get() is None and "enqueue" not in plugin.spec.overrides


@contextmanager
def preparing_with(instead: Prepare) -> Iterator[None]:
    """Let ``prepare`` ask ``instead`` in the body, in this thread: kernels run elsewhere."""
    token = _instead.set(instead)
    try:
        yield
    finally:
        _instead.reset(token)


class PreparedSteps:
    """Launches, copies and fills as a program for enqueue.ll; see :class:`Prepared`.

    Args:
        work: the steps.
        kernels: the kernel of each launch among them, which stay loaded.
        memory: the program's memory, if these are the steps of other sizes.

    Attributes:
        program: the program, which TensorRT's enqueue may run without this object's.
    """

    def __init__(
        self,
        work: EnqueueSteps,
        kernels: Sequence[LoadedKernel],
        memory: array[int] | None = None,
    ) -> None:
        self.program = EnqueueProgram(memory or program_layout(work, kernels).filled())
        self._work = work
        self._kernels = kernels
        self._inputs: Sequence[int] | None = None
        self._outputs: Sequence[int] | None = None
        self._pointers = array("Q")

    def layout(self) -> ProgramLayout:
        """Return the layout of the steps' program."""
        return program_layout(self._work, self._kernels)

    def with_memory(self, memory: array[int]) -> PreparedSteps:
        """Return the same steps with other sizes, those of a program's memory."""
        return PreparedSteps(self._work, self._kernels, memory)

    def enqueue(
        self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int
    ) -> None:
        """Run the program, unless that was tried and refused; see :meth:`Prepared.enqueue`."""
        program = self.program
        if inputs != self._inputs or outputs != self._outputs:  # mostly those of the last time
            check_pointers(self._work.owner, inputs, outputs, self._work.pointers)
            self._inputs, self._outputs = [*inputs], [*outputs]
            self._pointers = array("Q", [*inputs, *outputs])
            first, _ = self._pointers.buffer_info()
            self._arrays = first, first + len(inputs) * self._pointers.itemsize
        if program.status or enqueue_code().run(program.address, *self._arrays, workspace, stream):
            status, number = program.refused()
            raise self._refused(number, need("cuda.bindings.driver").CUresult(status))

    def _refused(self, number: int, status: Any) -> KernelError:
        work = self._work
        step = work.steps[number]
        what = type(step).__name__
        if isinstance(step, Launch):
            grid, block = self.program.extents(number)
            what = f"launch of '{step.kernel.name}', grid {grid}, block {block}"
        return KernelError(
            "PK330",
            f"{work.owner}: step {number + 1} of {len(work.steps)}, {what}: {cuda_error(status)}.",
            cause="earlier work on the device failed, or the enqueue was prepared on another "
            "device.",
        )


def check_pointers(
    owner: str, inputs: Sequence[int], outputs: Sequence[int], expected: tuple[int, int]
) -> None:
    """Count the pointers of an enqueue.

    Errors:
        PK332: there are not as many inputs and outputs as expected.
    """
    if (len(inputs), len(outputs)) != expected:
        raise KernelError(
            "PK332",
            f"{owner}: enqueue got {len(inputs)} inputs and {len(outputs)} outputs; "
            f"expected {expected[0]} and {expected[1]}.",
        )


class PreparedCall:
    """The author's own ``enqueue``; see :class:`Prepared`."""

    def __init__(self, plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]) -> None:
        self._plugin = plugin
        self._inputs = inputs
        self._outputs = tuple(outputs)

    def enqueue(
        self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int
    ) -> None:
        """Hand device tensors to the author; see :meth:`Prepared.enqueue`."""
        seen = [desc for desc in self._inputs if desc is None or desc.slot.kind == "input"]
        expected = sum(desc is not None for desc in seen), len(self._outputs)
        check_pointers(type(self._plugin).__name__, inputs, outputs, expected)
        self._plugin.enqueue(
            [None if d is None else _tensor(d, inputs[d.slot.index], stream) for d in seen],
            [_tensor(d, outputs[d.slot.index], stream) for d in self._outputs],
            workspace,
            stream,
        )


def _tensor(desc: TensorDesc, pointer: int, stream: int) -> DeviceTensor:
    shape = tuple(operator.index(dim) for dim in desc.shape)
    return DeviceTensor(desc.name, pointer, shape, desc.dtype, stream)
