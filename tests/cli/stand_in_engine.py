"""Stand-ins for CUDA, cupy and an engine, under Polygraphy's own TrtRunner.

The engine computes y = 2 x in host memory. Its contexts take addresses, shapes and allocators as an
IExecutionContext does, and refuse an enqueue without them; a context must not be enqueued in one
stream while it is busy in another.
"""

import ctypes
import dataclasses
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluginkit.device import gpus
from pluginkit.device.gpus import Gpu
from pluginkit.discovery import find_plugins
from pluginkit.engine.build.model_plugins import source_sha256
from pluginkit.engine.plan import open_engine
from pluginkit.engine.plan.manifest import Manifest, PluginNode, PluginRecord, Range, Tensor
from pluginkit.engine.timing import lane, time_runs
from pluginkit.trt.flavour import load_flavour
from tests.unit.engine.plan.test_check_manifest import MANIFEST, save

GPU = Gpu("NVIDIA L4", (8, 9), 2**34)


class HostCuda:
    """Plays Polygraphy's wrapper of the CUDA runtime, with host memory."""

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.copied: list[int] = []
        self.copied_in: list[int | None] = []
        self.streams = itertools.count(7)
        self.busy: set[int] = set()
        self.seconds = 0

    def create_stream(self) -> int:
        return next(self.streams)

    def stream_synchronize(self, stream: int) -> None:
        self.busy.discard(stream)

    destroy_stream = stream_synchronize

    def malloc(self, nbytes: int) -> int:
        buffer = ctypes.create_string_buffer(nbytes)
        self.memory[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, pointer: int) -> None:
        if pointer:
            del self.memory[pointer]

    def memcpy(self, dst: int, src: int, nbytes: int, kind: Any, stream_ptr: Any = None) -> None:
        assert stream_ptr is not None or not self.busy  # the others do not wait for the streams
        ctypes.memmove(dst, src, nbytes)
        self.copied.append(kind.value)
        self.copied_in.append(stream_ptr)
        self.seconds += kind.value  # 1 to the GPU, 2 back


class DoublingContext:
    """Plays an IExecutionContext: x float32[n, 4], sizes int64[2], y = 2 x, and marked values."""

    active_optimization_profile = 0
    profiler: Any = None
    enqueue_emits_profile = True

    def __init__(self, engine: "DoublingEngine") -> None:
        self.engine = engine
        self.shapes: dict[str, Any] = {"x": (-1, 4), "sizes": (2,)}
        self.addresses: dict[str, int] = {}
        self.allocator: Any = None
        self.is_capturing, self.is_measured, self.stream = False, False, 0
        self.strategy: Any = None

    def get_tensor_shape(self, name: str) -> Any:
        return self.shapes.get(name, self.shapes["x"])

    def set_input_shape(self, name: str, shape: Any) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self.addresses.get(name, 0)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[name] = pointer
        return True

    def set_output_allocator(self, name: str, allocator: Any) -> bool:
        self.allocator = allocator
        return True

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.engine.chosen.append(index)
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return self.engine.is_capturable

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.enqueues += 1
        if self.engine.enqueues > self.engine.fails_after:
            return False
        if self.is_capturing:
            self.engine.captured = self
        else:
            self.compute(stream)
        return True

    def compute(self, stream: int) -> None:
        assert self.stream in (0, stream) or self.stream not in self.engine.cuda.busy
        assert not (self.profiler and self.enqueue_emits_profile)  # would wait in the enqueue
        shape = self.shapes["x"]
        size = int(np.prod(shape))
        x = np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.addresses["x"]))
        for name, factor in self.engine.factors.items():
            y = self.allocator.reallocate_output_async(name, 0, 4 * size, 256, stream)
            self.allocator.notify_shape(name, shape)
            ctypes.memmove(y, (np.float32(factor) * x).tobytes(), 4 * size)
        self.engine.cuda.busy.add(stream)
        self.engine.cuda.seconds += 7
        self.is_measured, self.stream = self.profiler is not None, stream

    def report_to_profiler(self) -> bool:
        if not self.is_measured or self.stream in self.engine.cuda.busy:
            return False
        for name, milliseconds in self.engine.layers:
            self.profiler.report_layer_time(name, milliseconds)
        self.is_measured = False
        return True


class DoublingEngine:
    """Plays an ICudaEngine, and its inspector."""

    num_optimization_profiles = 1

    def __init__(self, trt: Any, cuda: HostCuda) -> None:
        self.trt, self.cuda = trt, cuda
        self.factors = {"y": 2.0}
        self.layers = [("gemm", 1.5), ("node_scale", 0.5), ("gemm", 1.0)]
        self.contexts: list[DoublingContext] = []
        self.captured: Any = None
        self.chosen: list[int] = []
        self.enqueues, self.fails_after, self.is_capturable = 0, 99, True

    @property
    def num_io_tensors(self) -> int:
        return 2 + len(self.factors)

    def create_runtime_config(self) -> Any:
        return SimpleNamespace()

    def create_execution_context(self, config: Any = None) -> Any:
        context = DoublingContext(self)
        if config is not None:
            context.strategy = config.dynamic_shapes_kernel_specialization_strategy
        self.contexts.append(context)
        return context

    def get_tensor_name(self, index: int) -> str:
        return ("x", "sizes", *self.factors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.trt.TensorIOMode
        return modes.OUTPUT if name in self.factors else modes.INPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.int64 if name == "sizes" else self.trt.float32

    def get_tensor_format(self, name: str, profile: int) -> Any:
        return self.trt.TensorFormat.LINEAR

    def get_tensor_shape(self, name: str) -> Any:
        return (2,) if name == "sizes" else (-1, 4)

    def is_shape_inference_io(self, name: str) -> bool:
        return name == "sizes"

    def get_aliased_input_tensor(self, name: str) -> None:
        return None

    def create_engine_inspector(self) -> Any:
        return self

    def get_engine_information(self, layer_format: Any) -> str:
        return json.dumps({"Layers": ["gemm", {"Name": "resize", "LayerType": "PluginV3"}]})


class SomeCupy:
    """Plays cupy, its ExternalStream, its Graph and its NVTX."""

    def __init__(self, engine: DoublingEngine) -> None:
        self.cuda, self.engine, self.launches = self, engine, 0
        self.Stream = SimpleNamespace(from_external=self._from_external)
        self.runtime = SimpleNamespace(CUDARuntimeError=RuntimeError)
        self.is_invalid = False

    def _from_external(self, handle: Any) -> Any:
        version, pointer = handle.__cuda_stream__()
        assert version == 0
        return HostStream(self, pointer)

    def ExternalStream(self, pointer: int) -> Any:  # noqa: N802 cupy's name
        return HostStream(self, pointer)


class HostStream:
    """Plays a stream of cupy."""

    def __init__(self, cupy: SomeCupy, pointer: int) -> None:
        self.cupy, self.ptr = cupy, pointer

    def begin_capture(self) -> None:
        for context in self.cupy.engine.contexts:
            context.is_capturing = True

    def end_capture(self) -> Any:
        for context in self.cupy.engine.contexts:
            context.is_capturing = False
        if self.cupy.is_invalid:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return HostGraph(self.cupy, self.cupy.engine.captured)


class HostGraph:
    """Plays a graph of cupy, with the enqueue that was captured."""

    def __init__(self, cupy: SomeCupy, context: Any) -> None:
        self.cupy, self.context = cupy, context

    def launch(self, stream: HostStream) -> None:
        self.cupy.launches += 1
        self.context.compute(stream.ptr)


@dataclasses.dataclass
class Machine:
    """The stand-ins, and a plan that they run."""

    engine: DoublingEngine
    cuda: HostCuda
    cupy: SomeCupy
    plan: Path
    inputs: Path


def machine_in(folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Machine:
    """Put the stand-ins in the place of CUDA and TensorRT, and a plan in a folder."""
    flavour = load_flavour("tensorrt_rtx")
    plan, inputs = folder / "model.plan", folder / "in.npz"
    save(plan, manifest_of(flavour.version, **changed))
    np.savez(inputs, x=np.arange(8, dtype=np.float32).reshape(2, 4), sizes=[1, 2])
    open_engine.bind_polygraphy(flavour)
    from polygraphy.backend.trt import runner
    from polygraphy.cuda import cuda

    host = HostCuda()
    engine = DoublingEngine(flavour.module, host)
    stand_in = SimpleNamespace(
        **{
            **vars(flavour.module),
            "ICudaEngine": DoublingEngine,
            "IExecutionContext": DoublingContext,
        }
    )
    monkeypatch.setattr(runner, "trt", stand_in)
    monkeypatch.setattr(cuda, "G_CUDA", host)
    clock = SimpleNamespace(perf_counter=lambda: host.seconds)
    for module in (lane, time_runs):
        monkeypatch.setattr(module, "time", clock)
    for module in (open_engine, gpus):
        monkeypatch.setattr(module, "find_gpu", lambda: GPU)
    monkeypatch.setattr(open_engine, "load_engine", lambda *args: engine)
    cupy = SomeCupy(engine)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return Machine(engine, host, cupy, plan, inputs)


def manifest_of(version: str, **changed: Any) -> Manifest:
    """Describe the stand-in engine as a plan with a plugin."""
    sizes = Tensor("sizes", "int64", (2,))
    ranges = {**MANIFEST.profiles[0], "sizes": Range((1, 1), (1, 1), (9, 9), is_shape_tensor=True)}
    nodes = (PluginNode("main graph / CircPad_PK 'node_scale'", {}),)
    key = ("CircPad_PK", "1", "pluginkit")
    source = source_sha256(find_plugins()[key])
    record = PluginRecord(*key, "v3", "circ_pad:CircPad", source, nodes)
    made = {"tensorrt": version, "inputs": (*MANIFEST.inputs, sizes), "profiles": (ranges,)}
    return dataclasses.replace(MANIFEST, **{**made, "plugins": (record,), **changed})
