"""Compute plugin nodes with their kernels, on a GPU and without TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit.contract import calls
from pluginkit.contract.plugin import Plugin
from pluginkit.kernels.compile_early import compile_early
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.prepare import prepare

#: What outputs and workspace hold before a kernel runs; a value that no kernel wrote shows as NaN
#: or -1.
_POISON = 0xFF


def run_kernels(plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Run a plugin's kernels on the arrays of the inputs that its node has.

    Returns:
        the outputs.

    Errors:
        PK310: cupy is not installed, or there is no GPU.  PK111, PK112: the arrays do not fit.
        PK3xx: a kernel does not compile or launch.
    """
    cupy = need("cupy")
    arrays = [np.ascontiguousarray(array).reshape(array.shape) for array in arrays]
    inputs = calls.describe_arrays(plugin, arrays)
    calls.check(plugin, inputs)
    outputs = calls.describe_outputs(plugin, inputs)
    compile_early(plugin, [(inputs, outputs)])  # while a context is made
    given = [
        cupy.asarray(np.frombuffer(array.tobytes() or b"\0", np.uint8))
        for array in calls.on_device(plugin, arrays)
    ]
    made = [_poisoned(cupy, int(desc.nbytes)) for desc in outputs]
    workspace = _poisoned(cupy, calls.workspace_bytes(plugin, inputs))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    prepare(plugin, inputs, outputs).enqueue(
        [buffer.data.ptr for buffer in given],
        [buffer.data.ptr for buffer in made],
        workspace.data.ptr,
        stream.ptr,
    )
    stream.synchronize()
    written = [cupy.asnumpy(buffer).tobytes() for buffer in made]
    return calls.arrays_from_buffers(plugin, inputs, written)


def _poisoned(cupy: Any, nbytes: int) -> Any:
    buffer = cupy.empty(max(nbytes, 1), cupy.uint8)
    buffer.data.memset(_POISON, buffer.nbytes)  # cupy.full would compile a kernel
    return buffer
