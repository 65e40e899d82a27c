"""A plugin's steps on numpy arrays, with its numba kernels in numba's CUDA simulator.

The simulator runs a Python thread for each CUDA thread: right for small shapes, and for a debugger.
It is chosen for a whole process, by ``NUMBA_ENABLE_CUDASIM=1`` before numba is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import Scalar
from pluginkit.contract.launches import Copy, Fill, KernelArgument, Launch, NumbaKernel
from pluginkit.contract.tensors import Slot, TensorDesc, Workspace
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import scalar_from_value, word_dtype
from pluginkit.kernels.compile import python_function
from pluginkit.kernels.cuda_packages import need, numba_cuda
from pluginkit.kernels.enqueue_steps import enqueue_steps, nbytes_of
from pluginkit.kernels.specialise import located

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pluginkit.contract.plugin import Plugin

    Buffers = dict[tuple[str, int], npt.NDArray[np.uint8]]

#: What outputs and workspace hold before the first step, so that an element left unwritten shows.
_POISON = 0xA5


def simulate(plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
    """Run the steps of one enqueue on numpy arrays.

    Args:
        plugin: a plugin whose kernels are numba kernels.
        arrays: the inputs that the node has.

    Returns:
        The outputs; bytes that no step wrote are 0xA5.

    Errors:
        PK303 to PK305: as for :func:`pluginkit.kernels.enqueue_steps.enqueue_steps`.
        PK340: the simulator is off.  PK341: a kernel is CUDA C++, which it cannot run.
    """
    import numpy as np

    inputs = calls.describe_arrays(plugin, arrays)
    calls.check(plugin, inputs)
    outputs = calls.describe_outputs(plugin, inputs)
    workspace = calls.workspace_bytes(plugin, inputs)
    sizes = [("output", i, nbytes_of(desc)) for i, desc in enumerate(outputs)]
    buffers: Buffers = {
        (kind, index): np.full(nbytes, _POISON, np.uint8)
        for kind, index, nbytes in [*sizes, ("workspace", 0, workspace)]
    }
    for index, array in enumerate(calls.on_device(plugin, arrays)):
        buffers["input", index] = np.frombuffer(array.tobytes(), np.uint8).copy()
    for step in enqueue_steps(plugin, inputs, outputs).steps:
        if isinstance(step, Launch):
            _launch(type(plugin).__name__, step, buffers)
        elif isinstance(step, Copy):
            source = _bytes(buffers, step.source.slot, nbytes_of(step.source))
            _bytes(buffers, step.target.slot, len(source))[:] = source
        else:
            _fill(step, buffers)
    written = [buffers["output", index].tobytes() for index in range(len(outputs))]
    return tuple(calls.arrays_from_buffers(plugin, inputs, written))


def _bytes(buffers: Buffers, slot: Slot, nbytes: int) -> npt.NDArray[np.uint8]:
    return buffers[slot.kind, slot.index][slot.offset : slot.offset + nbytes]


def _fill(step: Fill, buffers: Buffers) -> None:
    _bytes(buffers, step.target.slot, nbytes_of(step.target))[:] = step.byte


def _launch(owner: str, launch: Launch, buffers: Buffers) -> None:
    kernel = launch.kernel
    if not isinstance(kernel, NumbaKernel):
        raise KernelError(
            "PK341",
            f"{owner}: kernel '{kernel.name}' is CUDA C++; expected a numba kernel.",
            fix="compile it without a GPU, and run it on one.",
        )
    cuda = numba_cuda()
    if not need("numba").config.ENABLE_CUDASIM:
        raise KernelError(
            "PK340",
            f"{owner}: numba's CUDA simulator is off.",
            fix="set NUMBA_ENABLE_CUDASIM=1 before the process imports numba.",
        )
    function = cuda.jit(python_function(located(owner, kernel), kernel.name))
    arguments = [_argument(kernel.name, argument, buffers) for argument in launch.args]
    function[launch.grid, launch.block, 0, launch.shared_bytes](*arguments)


def _argument(kernel: str, argument: KernelArgument, buffers: Buffers) -> Any:
    if isinstance(argument, TensorDesc):
        words = _bytes(buffers, argument.slot, nbytes_of(argument)).view(word_dtype(argument.dtype))
        return words.reshape(argument.shape)
    if isinstance(argument, Workspace):
        return _bytes(buffers, argument.slot, argument.nbytes)
    scalar: Scalar = scalar_from_value(kernel, argument)
    return scalar.values if len(scalar.values) > 1 else scalar.values[0]
