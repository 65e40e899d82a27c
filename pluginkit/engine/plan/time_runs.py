"""Time the runs of an open plan: what it computes, apart from the copies of inputs and outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.errors import RunError

#: How many runs precede the timed ones by default; the first sets up what the others use.
WARM_UP = 3

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Timing:
    """Repeated runs of one plan, one after the other, as the host's clock sees them.

    Attributes:
        outputs: the outputs of the last run.
        to_gpu_ms: how long each run copied its inputs to the GPU.
        compute_ms: how long it took from the enqueue until the GPU had finished.
        from_gpu_ms: how long it copied the outputs back.
    """

    outputs: Arrays
    to_gpu_ms: tuple[float, ...]
    compute_ms: tuple[float, ...]
    from_gpu_ms: tuple[float, ...]

    @property
    def total_ms(self) -> tuple[float, ...]:
        """The duration of each run, with its copies."""
        parts = zip(self.to_gpu_ms, self.compute_ms, self.from_gpu_ms, strict=True)
        return tuple(map(sum, parts))


def time_runs(
    runner: Any, inputs: Arrays, iterations: int, *, warm_up: int, cuda_graph: bool
) -> Timing:
    """Run a plan ``warm_up`` and then ``iterations`` times.

    Args:
        runner: Polygraphy's active TrtRunner. Its first run sets shapes and addresses; all others
            enqueue on its execution context alone, so that no Python of Polygraphy is timed.
        inputs: an array for each input.
        iterations: how many runs are timed.
        warm_up: how many runs precede them, at least 1.
        cuda_graph: capture an enqueue after the first run, and replay that.

    Errors:
        PK543: TensorRT does not run the plan, or its enqueue cannot be captured.
    """
    import numpy as np
    from polygraphy.cuda import DeviceArray
    from polygraphy.datatype import DataType

    arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    with ExitStack() as stack:
        buffers = {}
        for name, array in arrays.items():
            if not runner.engine.is_shape_inference_io(name):  # those stay on the host
                # A scalar's memory at first, so that an empty input has an address.
                buffer = stack.enter_context(DeviceArray(dtype=DataType.from_dtype(array.dtype)))
                buffers[name] = buffer.resize(array.shape).copy_from(array)
        views = runner.infer({**arrays, **buffers}, copy_outputs_to_host=False)
        outputs = {name: view.numpy() for name, view in views.items()}
        launch = _captured(runner) if cuda_graph else lambda: _enqueue(runner)
        runs = []
        for _ in range(warm_up - 1 + iterations):
            start = time.perf_counter()
            for name, buffer in buffers.items():
                buffer.copy_from(arrays[name])
            copied = time.perf_counter()
            launch()
            runner.stream.synchronize()
            computed = time.perf_counter()
            for name, view in views.items():
                view.copy_to(outputs[name])
            end = time.perf_counter()
            runs.append((copied - start, computed - copied, end - computed))
    parts = zip(*runs[warm_up - 1 :], strict=True)
    return Timing(outputs, *(tuple(1e3 * seconds for seconds in part) for part in parts))


def _enqueue(runner: Any) -> None:
    if not runner.context.execute_async_v3(runner.stream.ptr):
        raise RunError("PK543", "TensorRT could not run the plan once more.")


def _captured(runner: Any) -> Callable[[], None]:
    """Capture an enqueue as a CUDA graph, and return what launches that."""
    import cupy

    stream = cupy.cuda.ExternalStream(runner.stream.ptr)
    cause, graph = "TensorRT's enqueue failed.", None
    try:
        stream.begin_capture()
        try:
            is_captured = runner.context.execute_async_v3(runner.stream.ptr)
        finally:
            graph = stream.end_capture()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        is_captured, cause = False, str(error)
    if not is_captured or graph is None:
        raise RunError(
            "PK543",
            "the plan's enqueue cannot be captured as a CUDA graph.",
            cause=cause,
            fix="leave out --cuda-graph; a plugin must not synchronise, allocate or copy from the "
            "host, and no output's shape may depend on data.",
        )
    return lambda: graph.launch(stream)
