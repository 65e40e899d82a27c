"""Check the steps of one enqueue, and leave out those without work. Needs no GPU."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim
from pluginkit.contract.launches import Copy, CudaKernel, Fill, Launch, NumbaKernel, Step
from pluginkit.contract.tensors import Slot, TensorDesc, Workspace
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import PackedArgument, parameters

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: CUDA's limits for every GPU from compute capability 3.0.
_GRID_LIMITS = (2**31 - 1, 65535, 65535)
_BLOCK_LIMITS = (1024, 1024, 64)
_BLOCK_THREADS = 1024
_SHARED_LIMIT = (2**31 - 1,)


@dataclass(frozen=True, eq=False)
class EnqueueSteps:
    """The steps of one enqueue that have work to do.

    Attributes:
        owner: the plugin class's name.
        steps: Launch, Copy and Fill in order.
        parameters: the kernel parameters of each Launch.
        pointers: the numbers of input and output pointers that the enqueue gets.
    """

    owner: str
    steps: tuple[Step, ...]
    parameters: tuple[list[PackedArgument], ...]
    pointers: tuple[int, int]

    @property
    def launches(self) -> list[Launch]:
        """The launches among the steps."""
        return [step for step in self.steps if isinstance(step, Launch)]


def enqueue_steps(
    plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
) -> EnqueueSteps:
    """Call the author's ``launches``, check its steps and leave out those without work.

    Args:
        plugin: the plugin.
        inputs: concrete descriptions from :mod:`pluginkit.contract.calls`.
        outputs: concrete descriptions of the outputs.

    Errors:
        PK116: not steps.  PK303: an argument.  PK304: grid, block or shared memory.
        PK305: a copy or a fill.
    """
    owner = type(plugin).__name__
    present = [desc for desc in inputs if desc is not None and desc.slot.kind == "input"]
    workspace = Workspace(calls.workspace_bytes(plugin, inputs))
    given: tuple[TensorDesc | Workspace, ...] = (*present, *outputs, workspace)
    steps, listed = [], []
    for step in calls.steps_within(plugin, inputs, outputs, workspace):
        _check_step(owner, step, given)
        if _has_work(step):
            steps.append(step)
            if isinstance(step, Launch):
                listed.append(parameters(step))
    return EnqueueSteps(owner, tuple(steps), tuple(listed), (len(present), len(outputs)))


def nbytes_of(tensor: TensorDesc | Workspace) -> int:
    """Return the bytes of a concrete tensor or a workspace."""
    nbytes = tensor.nbytes
    return nbytes if type(nbytes) is int else operator.index(nbytes)


def three(size: Dim | tuple[Dim, ...]) -> tuple[int, int, int]:
    """Return a grid or block with three dimensions."""
    x, y, z = (*_dimensions(size), 1, 1, 1)[:3]
    return x, y, z


def _dimensions(size: Dim | tuple[Dim, ...]) -> tuple[Any, ...]:
    return size if isinstance(size, tuple) else (size,)


def _limit(slot: Slot, given: Sequence[TensorDesc | Workspace]) -> int:
    """Return the bytes from a slot to the end of its buffer."""
    for desc in given:
        if (desc.slot.kind, desc.slot.index) == (slot.kind, slot.index):
            return nbytes_of(desc) - slot.offset
    return 0


def _has_work(step: Step) -> bool:
    if isinstance(step, Launch):
        return 0 not in _dimensions(step.grid)
    return nbytes_of(step.source if isinstance(step, Copy) else step.target) > 0


def _check_step(owner: str, step: Step, given: Sequence[TensorDesc | Workspace]) -> None:
    if not isinstance(step, Launch):
        _check_operands(owner, step)
    if isinstance(step, Launch):
        _check_launch(owner, step)
        tensors = [argument for argument in step.args if isinstance(argument, TensorDesc)]
    elif isinstance(step, Copy):
        _check_copy(owner, step)
        tensors = [step.source]
    else:
        _check_fill(owner, step)
        tensors = []
    if not isinstance(step, Launch) and isinstance(step.target, TensorDesc):
        tensors.append(step.target)
    for tensor in tensors:
        if tensor in given:  # unchanged, as are most: descriptions compare by identity
            continue
        if tensor.slot.kind == "host":
            raise KernelError(
                "PK303",
                f"{owner}: argument '{tensor.name}' is a shape input, which is not on the device.",
                fix=f"pass {tensor.name}.values, which are numbers in launches().",
            )
        limit = _limit(tensor.slot, given)
        if nbytes_of(tensor) > limit:
            raise KernelError(
                "PK303",
                f"{owner}: argument {tensor} takes {nbytes_of(tensor)} bytes; "
                f"its buffer has {limit}.",
                fix="a description that launches() changes must stay inside its tensor.",
            )


def _check_launch(owner: str, launch: Launch) -> None:
    if not isinstance(launch.kernel, (CudaKernel, NumbaKernel)) or not isinstance(
        launch.args, (tuple, list)
    ):
        raise KernelError(
            "PK304",
            f"{owner}: launch of {launch.kernel!r} with {launch.args!r}; "
            "expected a kernel and a tuple of arguments.",
            fix="write Launch(self.kernel, grid, block, args=(x, y, x.size)).",
        )
    grid, block = _dimensions(launch.grid), _dimensions(launch.block)
    if (
        _is_within(grid, 0, _GRID_LIMITS)
        and _is_within(block, 1, _BLOCK_LIMITS)
        and prod(block) <= _BLOCK_THREADS
        and _is_within((launch.shared_bytes,), 0, _SHARED_LIMIT)
    ):
        return
    name = f"{owner}: launch of '{launch.kernel.name}'"
    if not _is_within(grid, 0, _GRID_LIMITS):
        raise KernelError(
            "PK304",
            f"{name} has grid {launch.grid!r}; expected up to 3 ints, 0 to {_GRID_LIMITS}.",
            fix="put the largest dimension first, or let each block do more.",
        )
    if _is_within((launch.shared_bytes,), 0, _SHARED_LIMIT):
        raise KernelError(
            "PK304",
            f"{name} has block {launch.block!r}; expected up to 3 ints, 1 to {_BLOCK_LIMITS}, "
            f"{_BLOCK_THREADS} threads in all.",
        )
    raise KernelError(
        "PK304", f"{name} has shared_bytes={launch.shared_bytes!r}; expected an int >= 0."
    )


def _is_within(size: tuple[int, ...], lowest: int, limits: tuple[int, ...]) -> bool:
    if len(size) == 1:  # as most are
        return isinstance(size[0], int) and lowest <= size[0] <= limits[0]
    if not 1 <= len(size) <= len(limits):
        return False
    return all(
        isinstance(n, int) and lowest <= n <= limit for n, limit in zip(size, limits, strict=False)
    )


def _check_operands(owner: str, step: Copy | Fill) -> None:
    is_tensor = isinstance(step.target, (TensorDesc, Workspace))
    if isinstance(step, Copy):
        is_tensor &= isinstance(step.source, TensorDesc)
    if not is_tensor:
        raise KernelError(
            "PK305", f"{owner}: {step!r:.200}; expected tensors that launches() was given."
        )


def _check_copy(owner: str, copy: Copy) -> None:
    target, source = nbytes_of(copy.target), nbytes_of(copy.source)
    fits = target >= source if isinstance(copy.target, Workspace) else target == source
    if not fits:
        raise KernelError(
            "PK305",
            f"{owner}: Copy of {copy.source}, {source} bytes, to {target} bytes; "
            "expected one size.",
        )


def _check_fill(owner: str, fill: Fill) -> None:
    if not isinstance(fill.byte, int) or not 0 <= fill.byte <= 255:
        raise KernelError("PK305", f"{owner}: Fill with {fill.byte!r}; expected a byte, 0 to 255.")
