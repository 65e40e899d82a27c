"""The host time of one enqueue through TensorRT's virtual functions, and of the driver alone.

    python benchmarks/enqueue_vtables.py

Three inputs, one output, one small kernel: an exported plugin, pluginkit's Python adapters, and a
Python plugin whose enqueue does nothing. Each comes from tensorrt_lean's registry, is built and
attached in TensorRT's order, and is enqueued by one C++ loop, once more beside a thread that runs
Python. Needs a GPU, tensorrt_lean and g++.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ctypes import c_double, c_int32, c_void_p
from pathlib import Path
from typing import Any

from add_three import BLOCK, SOURCE, AddThreeBase
from record import host_environment, record

from pluginkit import Input, Output, Plugin, float32, register
from pluginkit.bench.gpu_timer import GpuTimer
from pluginkit.export.export_library import ExportOptions, export_library
from pluginkit.export.variant import ANY, Variant
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.plugin_v2 import CreatorV2Callbacks, PluginV2Callbacks
from pluginkit.trt.plugin_v3 import CreatorV3Callbacks, PluginV3Callbacks

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # the C++ that calls plugins is a test's

COUNT = 1024
#: The enqueues between two synchronisations, fewer than fit the driver's queue, and how often.
CALLS, ROUNDS = 200, 60
#: The same beside a thread that runs Python, which may hold Python's lock for 5 ms.
BUSY_CALLS, BUSY_ROUNDS = 10, 7
#: Shapes that are new to every context.
NEW_SHAPES = 300


def add_three(name: str) -> type[AddThreeBase]:
    """Return the plugin under a name of its own, since names in the registry are unique."""
    members = {member: Input("T") for member in "abc"}
    members["y"] = Output("T", like="a")
    return type(name, (AddThreeBase,), {**members, "__module__": __name__})


class Bench:
    """The buffers, the registry, and the times of each way."""

    def __init__(self, gpu: GpuTimer, flavour: Flavour, folder: Path, stack: ExitStack) -> None:
        from tests.export.building import build_caller
        from tests.export.registry_caller import TensorRT, lean_library

        library = lean_library()
        if library is None:
            raise SystemExit("tensorrt_lean is not installed")
        build_caller(
            folder / "caller.so", flavour.version_info[0], Path(__file__).with_suffix(".cpp")
        )
        self.gpu, self.flavour, self.folder, self.stack = gpu, flavour, folder, stack
        self.tensorrt = TensorRT(library, folder / "caller.so")
        self._times = ctypes.CDLL(str(folder / "caller.so"))
        for function in ("enqueue", "new_shape", "driver"):
            getattr(self._times, f"times_{function}").restype = c_double
        rng = gpu.xp.random.default_rng(3)
        self.sources = [rng.random(COUNT, dtype=gpu.xp.float32) for _ in range(3)]
        self.target = gpu.xp.empty(COUNT, gpu.xp.float32)
        arrays = (self.sources, [self.target])
        self.pointers = [
            (c_void_p * len(each))(*(gpu.pointer(array) for array in each)) for each in arrays
        ]
        self.samplers: dict[str, Callable[..., float]] = {}
        self.new_shapes: dict[str, Callable[[int], float]] = {}

    def add_driver(self) -> None:
        """Measure the driver alone, with the same kernel."""
        kernel = self.gpu.xp.RawKernel(SOURCE, "add_three").kernel.ptr
        words = [*self.pointers[0], *self.pointers[1], COUNT]
        values = (ctypes.c_uint64 * len(words))(*words)
        base = ctypes.addressof(values)
        addresses = (c_void_p * len(words))(*(base + 8 * n for n in range(len(words))))
        launch = ctypes.CDLL("libcuda.so.1").cuLaunchKernel
        shape = c_int32(COUNT // BLOCK), c_int32(BLOCK)
        keep = (values, addresses)
        stream = c_void_p(self.gpu.stream)
        self.samplers["the driver alone"] = lambda calls=CALLS: self._checked(
            self._times.times_driver(
                launch, c_void_p(kernel), *shape, stream, keep[1], c_int32(calls)
            )
        )

    def _checked(self, microseconds: float) -> float:
        if microseconds < 0:
            raise SystemExit(f"an enqueue fails: {self.tensorrt.said()}")
        return microseconds

    def add(self, name: str, plugin: type[Plugin], *, computes: bool = True) -> None:
        """Measure a plugin from the registry, after checking its result."""
        from tests.export.structures import Profile

        shapes = [[(size,)] * 3 for size in (1, COUNT, COUNT)]
        profile = Profile([float32] * 3, *shapes, {})
        layer = self.stack.enter_context(self.tensorrt.built(plugin(), profile))
        context = self.stack.enter_context(self.tensorrt.attached(layer))
        context.announce([(COUNT,)] * 3, {})
        rest = (*self.pointers, None, c_void_p(self.gpu.stream))
        handle = c_void_p(context.handle)
        fixed = context.descs
        self.samplers[name] = lambda calls=CALLS: self._checked(
            self._times.times_enqueue(handle, *fixed, *rest, c_int32(calls))
        )
        self.check(name, self.samplers[name], computes)
        other = self.stack.enter_context(self.tensorrt.attached(layer))

        def new_shape(size: int) -> float:
            descs = profile.descs(layer.plugin, [(size,)] * 3, {})
            self.gpu.synchronize()
            return self._checked(self._times.times_new_shape(c_void_p(other.handle), *descs, *rest))

        self.new_shapes[name] = new_shape

    def check(self, name: str, sample: Callable[[], float], computes: bool) -> None:
        """Run the plugin once, and compare its result."""
        self.target.fill(float("nan"))
        sample()
        self.gpu.synchronize()
        right = sum(self.sources)
        if computes and not bool(self.gpu.xp.allclose(self.target, right)):
            raise SystemExit(f"{name}: wrong result")

    def rows(self) -> list[dict[str, Any]]:
        """Return the medians of rounds of all ways, and their ratios to the driver's."""
        times: dict[str, list[float]] = {name: [] for name in self.samplers}
        for number in range(ROUNDS + 2):
            for name, sample in self.samplers.items():
                self.gpu.synchronize()
                found = sample()
                times[name] += [found] if number >= 2 else []  # the first ones warm up
        new = {name: [] for name in self.new_shapes}
        for number in range(NEW_SHAPES):
            for name, sample in self.new_shapes.items():
                new[name].append(sample(COUNT - 1 - number))
        busy: dict[str, list[float]] = {name: [] for name in self.samplers}
        with python_running():
            for _ in range(BUSY_ROUNDS):
                for name, sample in self.samplers.items():
                    self.gpu.synchronize()
                    busy[name].append(sample(BUSY_CALLS))
        driver_us = statistics.median(next(iter(times.values())))
        rows = []
        for name, values in times.items():
            values.sort()
            tenth, median = len(values) // 10, statistics.median(values)
            row = {
                "way": name,
                "us": median,
                "low_us": values[tenth],
                "high_us": values[-1 - tenth],
                "over_driver": median / driver_us,
                "busy_us": statistics.median(busy[name]),
            }
            if name in new:
                row["new_shape_us"] = statistics.median(new[name][NEW_SHAPES // 10 :])
            rows.append(row)
            print(
                f"{median:8.2f} us x{row['over_driver']:.2f}  busy {row['busy_us']:.2f} us  {name}",
                row.get("new_shape_us", ""),
            )
        return rows


@contextmanager
def python_running() -> Iterator[None]:
    """Run Python in another thread inside the body."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            sum(range(1000))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def add_exported(bench: Bench, interface: str) -> None:
    """Measure an exported plugin."""
    plugin = add_three(f"Exported{interface.upper()}")
    capability = bench.gpu.xp.cuda.Device().compute_capability
    options = ExportOptions(
        tensorrt=str(bench.flavour.version_info[0]),
        compute_capabilities=(capability,),
        interface=interface,
        with_static=False,
    )
    variant = Variant(plugin(), (float32,) * 3, ((ANY,),) * 3)
    made = export_library([variant], bench.folder, plugin.__name__.lower(), options)
    bench.stack.enter_context(bench.tensorrt.loaded(made.library))
    bench.add(f"exported, {interface.upper()}", plugin)


def add_python(bench: Bench, interface: Any) -> None:
    """Measure pluginkit's adapter."""
    plugin = add_three(f"Python{interface.upper()}")
    register(plugin, interface=interface, flavour=bench.flavour)
    bench.add(f"Python adapter, {interface.upper()}", plugin)


def _do_nothing(input_desc, output_desc, inputs, outputs, workspace, stream):
    pass


def add_empty(bench: Bench, interface: str) -> list[Any]:
    """Measure an adapter whose enqueue does nothing: the time of TensorRT's bindings."""
    trt = bench.flavour.module
    callbacks, creator, names = {
        "v2": (PluginV2Callbacks, CreatorV2Callbacks, ("IPluginV2DynamicExt",)),
        "v3": (
            PluginV3Callbacks,
            CreatorV3Callbacks,
            ("IPluginV3", "IPluginV3OneCore", "IPluginV3OneBuild", "IPluginV3OneRuntime"),
        ),
    }[interface]
    bases = tuple(getattr(trt, name) for name in names)

    class Empty(callbacks, *bases):
        interfaces, interface = bases, bases[0]

        def __init__(self, core):
            super().__init__(core)
            self.enqueue = _do_nothing
            core.native = None  # which would leave Python out

        def clone(self):
            return Empty(self.core.copy())

    creator_base = trt.IPluginCreatorV3One if interface == "v3" else trt.IPluginCreator

    class EmptyCreator(creator, creator_base):
        interface = creator_base

        def create_plugin(self, name, fields, *phase):
            return Empty(self.core_from_fields(name, fields))

        def deserialize_plugin(self, name, payload):
            return Empty(self.core_from_fields(name, ()))

    plugin = add_three(f"Empty{interface.upper()}")
    made = EmptyCreator(plugin, bench.flavour)
    trt.get_plugin_registry().register_creator(made, plugin.spec.plugin_namespace)
    bench.add(f"empty Python enqueue, {interface.upper()}", plugin, computes=False)
    return [made]


def main() -> None:
    """Measure every way."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    gpu, flavour = GpuTimer(), load_flavour("tensorrt_lean")
    with tempfile.TemporaryDirectory() as folder, gpu.current(), ExitStack() as stack:
        bench = Bench(gpu, flavour, Path(folder), stack)
        bench.add_driver()
        for interface in ("v3", "v2"):
            add_exported(bench, interface)
            add_python(bench, interface)
        creators = [add_empty(bench, interface) for interface in ("v3", "v2")]
        rows = bench.rows()
        del creators
        environment = gpu.environment() | host_environment()
        environment["tensorrt"] = f"{flavour.name} {flavour.version}"
        record("enqueue_vtables", environment, rows)


if __name__ == "__main__":
    main()
