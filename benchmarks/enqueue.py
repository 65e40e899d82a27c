"""The host time of one enqueue: pluginkit's adapters, the driver alone, other ways in Python.

    python benchmarks/enqueue.py

Three inputs, one output, one small kernel; needs a GPU. The same loop times single calls of each
way on an idle stream.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import statistics
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from add_three import BLOCK, SOURCE, AddThreeBase
from record import host_environment, record

from pluginkit import CudaKernel, Input, NumbaKernel, Output, Plugin, float32
from pluginkit.bench.gpu_timer import GpuTimer
from pluginkit.bench.launch_limit import prepared_launch
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.checking.trt_double.layer import ExecutionContext
from pluginkit.kernels.cuda_packages import numba_cuda
from pluginkit.trt.flavour import load_flavour

COUNT, OTHER_COUNT = 1024, 768
ROUNDS = 5


class AddThreeCuda(AddThreeBase):
    """With a kernel in CUDA C++."""

    a, b, c = Input("T"), Input("T"), Input("T")
    y = Output("T", like="a")
    kernel = CudaKernel(SOURCE, "add_three")


class AddThreeNumba(AddThreeBase):
    """With a kernel in numba.cuda."""

    a, b, c = Input("T"), Input("T"), Input("T")
    y = Output("T", like="a")
    kernel = NumbaKernel("enqueue_kernels.py", "add_three")


class CupySample:
    """As in NVIDIA's cupy sample: sizes from descriptors, wrapped pointers, a RawKernel.

    If ``size`` is given, descriptors are not read, only pointers wrapped and the kernel launched.
    """

    def __init__(self, cupy: Any, dtypes: dict[Any, Any], size: int | None) -> None:
        self._cupy = cupy
        self._dtypes = dtypes
        self._size = size
        self._kernel = cupy.RawKernel(SOURCE, "add_three")

    def views(self, descs: list[Any], pointers: list[int]) -> list[Any]:
        """Return a flat cupy array for each pointer."""
        cupy, arrays = self._cupy, []
        for desc, pointer in zip(descs, pointers, strict=True):
            dtype, size = float32.numpy, self._size
            if size is None:
                dtype, size = self._dtypes[desc.type], math.prod(desc.dims)
            memory = cupy.cuda.UnownedMemory(pointer, size * dtype.itemsize, self)
            arrays.append(cupy.ndarray((size,), dtype, cupy.cuda.MemoryPointer(memory, 0)))
        return arrays

    def enqueue(self, input_desc, output_desc, inputs, outputs, workspace, stream) -> None:
        """As IPluginV2DynamicExt and IPluginV3 have it."""
        *sources, target = self.views([*input_desc, *output_desc], [*inputs, *outputs])
        with self._cupy.cuda.ExternalStream(stream):
            grid = (target.size + BLOCK - 1) // BLOCK
            self._kernel((grid,), (BLOCK,), (*sources, target, target.size))


class NumbaSample(CupySample):
    """As in NVIDIA's numba sample: cupy views as numba arrays, numba's own launch."""

    def __init__(self, cupy: Any, dtypes: dict[Any, Any], size: int | None) -> None:
        super().__init__(cupy, dtypes, size)
        import enqueue_kernels

        self._cuda = numba_cuda()
        self._function = self._cuda.jit(enqueue_kernels.add_three)

    def enqueue(self, input_desc, output_desc, inputs, outputs, workspace, stream) -> None:
        """As IPluginV2DynamicExt and IPluginV3 have it."""
        views = self.views([*input_desc, *output_desc], [*inputs, *outputs])
        arrays = [self._cuda.as_cuda_array(view) for view in views]
        queue = self._cuda.external_stream(stream)
        grid = (views[-1].size + BLOCK - 1) // BLOCK
        self._function[grid, BLOCK, queue](*arrays, views[-1].size)


@contextmanager
def opened(plugin: Plugin, interface: Any) -> Iterator[ExecutionContext]:
    """Return a context of the plugin's layer for shapes up to COUNT."""
    small, large = [(OTHER_COUNT,)] * 3, [(COUNT,)] * 3
    profile = Profile(small, large, large)
    layer = build_layer(plugin, profile, [float32] * 3, interface=interface, flavour=load_flavour())
    with layer.context() as context:
        yield context


class Bench:
    """The buffers, and the ways to measure."""

    def __init__(self, gpu: GpuTimer) -> None:
        self.gpu = gpu
        rng = gpu.xp.random.default_rng(3)
        self.sources = [rng.random(COUNT, dtype=gpu.xp.float32) for _ in range(3)]
        self.target = gpu.xp.empty(COUNT, gpu.xp.float32)
        self.inputs = [gpu.pointer(array) for array in self.sources]
        self.outputs = [gpu.pointer(self.target)]
        self.samplers: dict[str, Callable[[], list[float]]] = {}

    def add(self, name: str, call: Callable[[], Any], count: int = COUNT) -> None:
        """Add a way to launch, after checking its result."""
        self.target.fill(float("nan"))
        call()
        self.gpu.synchronize()
        right = sum(source[:count] for source in self.sources)
        if not bool(self.gpu.xp.allclose(self.target[:count], right)):
            raise SystemExit(f"{name}: wrong result")
        self.samplers[name] = lambda: self.gpu.host_times([call])

    def rows(self) -> list[dict[str, Any]]:
        """Return each way's median, deciles and ratio to the first, from rounds of all ways."""
        times: dict[str, list[float]] = {name: [] for name in self.samplers}
        for number in range(ROUNDS + 1):
            for name, sample in self.samplers.items():
                found = sample()
                times[name] += found if number else []  # the first round is a warm-up
        rows = []
        driver_us = statistics.median(next(iter(times.values())))
        for name, values in times.items():
            values.sort()
            tenth, median = len(values) // 10, statistics.median(values)
            rows.append(
                {
                    "way": name,
                    "us": median,
                    "low_us": values[tenth],
                    "high_us": values[-1 - tenth],
                    "over_driver": median / driver_us,
                }
            )
            print(f"{median:8.2f} us x{median / driver_us:.2f}  {name}", flush=True)
        return rows

    def enqueue_call(self, enqueue: Callable[..., Any], descs: tuple[Any, Any]) -> Any:
        """Return an enqueue on the buffers."""
        inputs, outputs, stream = self.inputs, self.outputs, self.gpu.stream
        input_desc, output_desc = descs
        return lambda: enqueue(input_desc, output_desc, inputs, outputs, 0, stream)


def add_driver(bench: Bench, stack: ExitStack) -> None:
    """Measure the driver alone, from C and from Python."""
    gpu = bench.gpu
    _, by = gpu.driver_launch()
    bench.samplers[f"cuLaunchKernel, {by}"] = lambda: [gpu.driver_launch()[0]]
    kernel = gpu.xp.RawKernel(SOURCE, "add_three").kernel.ptr
    launched = stack.enter_context(prepared_launch(kernel, gpu.stream))
    (_, _, params), call = launched
    bench.samplers["cuLaunchKernel, cuda.bindings"] = lambda: gpu.host_times([call])
    launch = ctypes.CDLL("libcuda.so.1").cuLaunchKernel
    fixed = [ctypes.c_void_p(kernel), *map(ctypes.c_uint, (1, 1, 1, 32, 1, 1, 0))]
    rest = [ctypes.c_void_p(gpu.stream), ctypes.c_void_p(params), None]
    bench.samplers["cuLaunchKernel, ctypes"] = lambda: gpu.host_times(
        [lambda: launch(*fixed, *rest)]
    )


def main() -> None:
    """Measure every way."""
    warnings.filterwarnings("ignore")
    gpu, flavour = GpuTimer(), load_flavour()
    with gpu.current(), ExitStack() as stack:
        bench = Bench(gpu)
        add_driver(bench, stack)
        shapes = [(COUNT,)] * 3
        contexts = {
            f"pluginkit {interface.upper()}, {kind} kernel": stack.enter_context(
                opened(plugin(), interface)
            )
            for kind, plugin in (("cupy", AddThreeCuda), ("numba", AddThreeNumba))
            for interface in ("v2", "v3")
        }
        for name, context in contexts.items():
            descs = context.descs(shapes)
            context.announce(*descs)
            bench.add(name, bench.enqueue_call(context.adapter.enqueue, descs))
        descs = next(iter(contexts.values())).descs(shapes)
        dtypes = {flavour.data_type(float32): float32.numpy}
        for kind, sample in (("cupy", CupySample), ("numba", NumbaSample)):
            for known in (False, True):
                enqueue = sample(gpu.xp, dtypes, COUNT if known else None).enqueue
                name = f"NVIDIA's sample style, {kind}" + ", sizes known" * known
                bench.add(name, bench.enqueue_call(enqueue, descs))
        for name, (interface, plugin) in {
            f"pluginkit {interface.upper()}, {kind} kernel": (interface, plugin)
            for kind, plugin in (("cupy", AddThreeCuda), ("numba", AddThreeNumba))
            for interface in ("v2", "v3")
        }.items():
            context = stack.enter_context(opened(plugin(), interface))
            call = changing(bench, context)
            bench.add(f"{name}, another shape each time", call, OTHER_COUNT)
        rows = bench.rows()
        environment = gpu.environment() | host_environment()
        environment["tensorrt"] = f"{flavour.name} {flavour.version}"
        record("enqueue", environment, rows)


def changing(bench: Bench, context: ExecutionContext) -> Callable[[], None]:
    """Return an enqueue whose shape differs from that of the call before."""
    both = [context.descs([(count,)] * 3) for count in (COUNT, OTHER_COUNT)]
    calls = [bench.enqueue_call(context.adapter.enqueue, descs) for descs in both]
    turn = 0

    def call() -> None:
        nonlocal turn
        turn = 1 - turn
        context.announce(*both[turn])
        calls[turn]()

    return call


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
