"""A CUDA stream with the execution contexts that take turns in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.engine.timing.nvtx_ranges import OpenNvtxRange
from pluginkit.errors import RunError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

#: The host's clock when a run began, had its inputs, had computed, and had copied its outputs.
Stamps = tuple[float, float, float, float]


class ReadyContext:
    """An execution context that has run once, so that all that is left is to enqueue it.

    Args:
        stack: closes the runner and frees the buffers.
        runner: Polygraphy's TrtRunner. Its first run sets shapes and addresses; all others enqueue
            on its execution context alone, so that no Python of Polygraphy is timed.
        inputs: an array for each input.
    """

    def __init__(self, stack: ExitStack, runner: Any, inputs: Arrays) -> None:
        import numpy as np
        from polygraphy.cuda import DeviceArray
        from polygraphy.datatype import DataType

        self._runner = stack.enter_context(runner)
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        self._buffers = []
        for name, array in arrays.items():
            if not runner.engine.is_shape_inference_io(name):  # those stay on the host
                # A scalar's memory at first, so that an empty input has an address.
                buffer = stack.enter_context(DeviceArray(dtype=DataType.from_dtype(array.dtype)))
                self._buffers.append((buffer.resize(array.shape).copy_from(array), array))
                arrays[name] = buffer
        views = runner.infer(arrays, copy_outputs_to_host=False)
        self.outputs = {name: view.numpy() for name, view in views.items()}
        self._views = views
        self.context = runner.context
        self.stream = runner.stream
        self.enqueue: Callable[[Any], None] = self._execute

    def _execute(self, stream: Any) -> None:
        if not self.context.execute_async_v3(stream.ptr):
            raise RunError("PK543", "TensorRT could not run the plan once more.")

    def copy_inputs(self, stream: Any) -> None:
        """Copy every input to the GPU."""
        for buffer, array in self._buffers:
            buffer.copy_from(array, stream)

    def copy_outputs(self, stream: Any) -> None:
        """Copy every output to the host."""
        for name, view in self._views.items():
            view.copy_to(self.outputs[name], stream)

    def capture(self, stream: Any) -> None:
        """Capture an enqueue as a CUDA graph, and launch that from now on.

        Errors:
            PK543: it cannot be captured.
        """
        import cupy

        is_capturable = getattr(self.context, "is_stream_capturable", None)  # TensorRT-RTX
        if is_capturable is not None and not is_capturable(stream.ptr):
            raise _not_captured("TensorRT says so before it tries.")
        external = cupy_stream(stream.ptr)
        try:
            external.begin_capture()
            try:
                is_captured = self.context.execute_async_v3(stream.ptr)
            finally:
                graph = external.end_capture()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise _not_captured(str(error)) from error
        if not is_captured or graph is None:
            raise _not_captured("TensorRT's enqueue failed.")
        launch = graph.launch
        self.enqueue = lambda stream: launch(external)


def _not_captured(cause: str) -> RunError:
    return RunError(
        "PK543",
        "the plan's enqueue cannot be captured as a CUDA graph.",
        cause=cause,
        fix="leave out --cuda-graph; a plugin must not synchronise, allocate or copy from the "
        "host, and no output's shape may depend on data.",
    )


def cupy_stream(pointer: int) -> Any:
    """Return a stream of cupy for a ``cudaStream_t``, which goes on belonging to Polygraphy."""
    import cupy

    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(_StreamHandle(pointer))
    return cupy.cuda.ExternalStream(pointer)  # before cupy 14


@dataclass(frozen=True)
class _StreamHandle:
    """A ``cudaStream_t`` as CUDA's stream protocol wants it."""

    pointer: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


class Lane:
    """A stream, and the contexts that take turns in it.

    Args:
        contexts: the contexts. The stream is that of the first one.
        open_range: opens an NVTX range.
    """

    def __init__(self, contexts: Sequence[ReadyContext], open_range: OpenNvtxRange) -> None:
        self.contexts = contexts
        self.stream = contexts[0].stream
        self._open_range = open_range

    def run(self, iterations: int, name: str) -> list[Stamps]:
        """Run so many times, with copies, and wait for each."""
        stamps = []
        for number in range(iterations):
            context = self.contexts[number % len(self.contexts)]
            start = time.perf_counter()
            context.copy_inputs(self.stream)
            self.stream.synchronize()
            copied = time.perf_counter()
            with self._open_range(f"{name} {number}"):
                context.enqueue(self.stream)
            self.stream.synchronize()
            computed = time.perf_counter()
            context.copy_outputs(self.stream)
            self.stream.synchronize()
            stamps.append((start, copied, computed, time.perf_counter()))
        return stamps

    def enqueue_all(self, iterations: int) -> None:
        """Run so many times without copies, and wait for the last one."""
        for number in range(iterations):
            with self._open_range(f"enqueue {number}"):
                self.contexts[number % len(self.contexts)].enqueue(self.stream)
        self.stream.synchronize()
