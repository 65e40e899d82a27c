"""Check the steps of one enqueue, and leave out those without work. Needs no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim, known
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
#: What a block may have on the GPUs that allow most, of compute capability 9.0 and 10.0.
_SHARED_LIMIT = (227 * 1024,)


@dataclass(eq=False)
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
    plugin: Plugin,
    inputs: calls.Inputs,
    outputs: Sequence[TensorDesc],
    workspace_bytes: int | None = None,
) -> EnqueueSteps:
    """Call the author's ``launches``, check its steps and leave out those without work.

    Args:
        plugin: the plugin.
        inputs: concrete descriptions from :mod:`pluginkit.contract.calls`.
        outputs: concrete descriptions of the outputs.
        workspace_bytes: what the plugin has answered for these inputs, if it was asked.

    Errors:
        PK116: not steps.  PK303: an argument.  PK304: grid, block or shared memory.
        PK305: a copy or a fill.
    """
    owner = type(plugin).__name__
    present = [desc for desc in inputs if desc is not None and desc.slot.kind == "input"]
    if workspace_bytes is None:
        workspace_bytes = calls.workspace_bytes(plugin, inputs)
    workspace = Workspace(workspace_bytes)
    given: tuple[TensorDesc | Workspace, ...] = (*present, *outputs, workspace)
    steps: list[Step] = []
    listed = []
    for step in calls.steps_within(plugin, inputs, outputs, workspace):
        if isinstance(step, Launch):
            _check_launch(owner, step, given)
            grid = step.grid
            if grid != 0 and not (isinstance(grid, tuple) and 0 in grid):
                steps.append(step)
                listed.append(parameters(step))
        else:
            _check_memory_step(owner, step, given)
            if nbytes_of(step.source if isinstance(step, Copy) else step.target) > 0:
                steps.append(step)
    return EnqueueSteps(owner, tuple(steps), tuple(listed), (len(present), len(outputs)))


def nbytes_of(tensor: TensorDesc | Workspace) -> int:
    """Return the bytes of a concrete tensor or a workspace."""
    return known(tensor.nbytes)


def three(size: Dim | tuple[Dim, ...]) -> tuple[int, int, int]:
    """Return a grid or block with three dimensions."""
    x, y, z = (*size, 1, 1, 1)[:3] if isinstance(size, tuple) else (size, 1, 1)
    return x, y, z  # type: ignore[return-value]  # numbers, or _check_launch would have refused


def _limit(slot: Slot, given: Sequence[TensorDesc | Workspace]) -> int:
    """Return the bytes from a slot to the end of its buffer."""
    for desc in given:
        if (desc.slot.kind, desc.slot.index) == (slot.kind, slot.index):
            return nbytes_of(desc) - slot.offset
    return 0


def _check_memory_step(
    owner: str, step: Copy | Fill, given: Sequence[TensorDesc | Workspace]
) -> None:
    _check_operands(owner, step)
    if isinstance(step, Copy):
        _check_copy(owner, step)
        _check_tensor(owner, step.source, given)
    else:
        _check_fill(owner, step)
    if isinstance(step.target, TensorDesc):
        _check_tensor(owner, step.target, given)


def _check_tensor(owner: str, tensor: TensorDesc, given: Sequence[TensorDesc | Workspace]) -> None:
    if tensor in given:  # unchanged, as are most: descriptions compare by identity
        return
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
            f"{owner}: argument {tensor} takes {nbytes_of(tensor)} bytes; its buffer has {limit}.",
            fix="a description that launches() changes must stay inside its tensor.",
        )


def _check_launch(owner: str, launch: Launch, given: Sequence[TensorDesc | Workspace]) -> None:
    if not isinstance(launch.kernel, (CudaKernel, NumbaKernel)) or not isinstance(
        launch.args, (tuple, list)
    ):
        raise KernelError(
            "PK304",
            f"{owner}: launch of {launch.kernel!r} with {launch.args!r}; "
            "expected a kernel and a tuple of arguments.",
            fix="write Launch(self.kernel, grid, block, args=(x, y, x.size)).",
        )
    block = launch.block
    if not (
        _is_within(launch.grid, 0, _GRID_LIMITS)
        and _is_within(block, 1, _BLOCK_LIMITS)
        and (not isinstance(block, tuple) or prod(map(known, block)) <= _BLOCK_THREADS)
        and _is_within(launch.shared_bytes, 0, _SHARED_LIMIT)
    ):
        raise _outside_limits(owner, launch)
    for argument in launch.args:
        if isinstance(argument, TensorDesc):
            _check_tensor(owner, argument, given)


def _outside_limits(owner: str, launch: Launch) -> KernelError:
    name = f"{owner}: launch of '{launch.kernel.name}'"
    if not _is_within(launch.grid, 0, _GRID_LIMITS):
        return KernelError(
            "PK304",
            f"{name} has grid {launch.grid!r}; expected up to 3 ints, 0 to {_GRID_LIMITS}.",
            fix="put the largest dimension first, let each block do more, or refuse such sizes in "
            "check().",
        )
    if _is_within(launch.shared_bytes, 0, _SHARED_LIMIT):
        return KernelError(
            "PK304",
            f"{name} has block {launch.block!r}; expected up to 3 ints, 1 to {_BLOCK_LIMITS}, "
            f"{_BLOCK_THREADS} threads in all.",
        )
    return KernelError(
        "PK304",
        f"{name} has shared_bytes={launch.shared_bytes!r}; expected an int, 0 to "
        f"{_SHARED_LIMIT[0]}.",
        fix="keep less of a row in shared memory, or refuse such sizes in check().",
    )


def _is_within(size: Dim | tuple[Dim, ...], lowest: int, limits: tuple[int, ...]) -> bool:
    if isinstance(size, int):
        return lowest <= size <= limits[0]
    if not isinstance(size, tuple) or not 1 <= len(size) <= len(limits):
        return False
    for n, limit in zip(size, limits, strict=False):
        if not isinstance(n, int) or not lowest <= n <= limit:
            return False
    return True


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
