"""What times engines, on a GPU: streams, copies, CUDA graphs, plugins and PyTorch are real.

A stand-in plays the engine. Its contexts put a kernel, or a plugin through its real adapter, on the
stream that they are given, as TensorRT does.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluginkit import float32
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.engine.timing.lane import Lane, ReadyContext, cupy_stream
from pluginkit.engine.timing.nvtx_ranges import no_range
from pluginkit.engine.timing.peers import time_torch
from pluginkit.engine.timing.time_runs import at_once, time_runs
from pluginkit.engine.timing.timing import Timing, TimingOptions
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.trt.flavour import Flavour

pytestmark = pytest.mark.gpu

#: Takes longer on few multiprocessors than the slices of time in which processes share a GPU.
SPIN = r"""
extern "C" __global__ void spin(float* y, const float* x, int count, int turns) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    float kept = 2 * x[at % count];
    float turned = kept;
    for (int turn = 0; turn < turns; ++turn) turned = turned * 0.999f + 0.001f;
    if (at < count) y[at] = turned == 12345.f ? 0 : kept;
}
"""
X = np.arange(4096, dtype=np.float32)
IMAGE = np.arange(2 * 64 * 64, dtype=np.float32).reshape(1, 2, 64, 64)
#: Puts work on a stream: the stream, the pointer to y, the pointer to x.
Launch = Callable[[int, int, int], None]


class StandInContext:
    """Plays an IExecutionContext with an input x and an output y."""

    active_optimization_profile = 0

    def __init__(self, engine: "StandInEngine") -> None:
        self.engine = engine
        self.launch = engine.create_launch()
        self.addresses: dict[str, int] = {}
        self.allocator: Any = None
        self.output = 0

    def get_tensor_shape(self, name: str) -> Any:
        return self.engine.shapes[name]

    def get_tensor_address(self, name: str) -> int:
        return self.addresses.get(name, 0)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[name] = pointer
        return True

    def set_output_allocator(self, name: str, allocator: Any) -> bool:
        self.allocator = allocator
        return True

    def execute_async_v3(self, stream: int) -> bool:
        shape = self.engine.shapes["y"]
        nbytes = 4 * int(np.prod(shape))
        self.output = self.output or self.allocator.reallocate_output("y", 0, nbytes, 256)
        self.allocator.notify_shape("y", shape)
        self.launch(stream, self.output, self.addresses["x"])
        return True


class StandInEngine:
    """Plays an ICudaEngine."""

    num_io_tensors = 2

    def __init__(
        self, trt: Any, shapes: dict[str, tuple[int, ...]], create_launch: Callable[[], Launch]
    ) -> None:
        self.trt, self.shapes, self.create_launch = trt, shapes, create_launch

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if name == "x" else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.float32

    def get_tensor_format(self, name: str, profile: int = 0) -> Any:
        return self.trt.TensorFormat.LINEAR

    def get_tensor_shape(self, name: str) -> Any:
        return self.shapes[name]

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_aliased_input_tensor(self, name: str) -> None:
        return None


@pytest.fixture
def trt(lean: Flavour, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Polygraphy's TensorRT: the types of tensorrt_lean, as far as it has them."""
    module = ModuleType("tensorrt")
    formats = SimpleNamespace(LINEAR=0, HWC=1, CHW16=2)
    vars(module).update(vars(lean.module) | {"ICudaEngine": StandInEngine, "TensorFormat": formats})
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


@pytest.fixture
def timed(trt: ModuleType) -> Callable[[TimingOptions], Timing]:
    """Time the spinning kernel."""
    import cupy
    from polygraphy.backend.trt import TrtRunner

    kernel = cupy.RawKernel(SPIN, "spin")

    def launch(stream: int, y: int, x: int) -> None:
        arguments = (np.uint64(y), np.uint64(x), np.int32(X.size), np.int32(2_000_000))
        with cupy_stream(stream):
            kernel((4,), (1024,), arguments)

    engine = StandInEngine(trt, {"x": X.shape, "y": X.shape}, lambda: launch)

    def time_them(how: TimingOptions) -> Timing:
        timing = time_runs(trt, lambda: TrtRunner(engine), {"x": X}, how)
        assert np.array_equal(timing.outputs["y"], 2 * X)
        return timing

    return time_them


@pytest.mark.slow
def test_streams_run_at_once(timed: Callable[[TimingOptions], Timing]) -> None:
    one, four = (timed(TimingOptions(20, streams=streams)) for streams in (1, 4))
    assert four.runs_per_second > 2 * one.runs_per_second
    assert four.runs_per_second_with_copies > 2 * one.runs_per_second_with_copies
    alone = sorted(one.compute_ms)[10]
    assert sorted(four.compute_ms)[40] < 2 * alone
    assert min(one.to_gpu_ms) < alone / 2


def test_contexts_of_one_stream_take_turns(timed: Callable[[TimingOptions], Timing]) -> None:
    one, two = (timed(TimingOptions(20, contexts=contexts)) for contexts in (1, 2))
    assert two.runs_per_second < 1.3 * one.runs_per_second


@pytest.mark.parametrize("streams", [1, 3])
def test_cuda_graphs_are_replayed(streams: int, timed: Callable[[TimingOptions], Timing]) -> None:
    how = TimingOptions(10, streams=streams, contexts=streams + 1, cuda_graph=True)
    timing = timed(how)
    assert len(timing.runs) == 10 * streams
    assert 0.1 < min(timing.compute_ms) < 100


@pytest.mark.slow
def test_a_plugin_runs_in_several_streams_and_as_a_graph(trt: ModuleType, lean: Flavour) -> None:
    """Each context has other inputs, so that what threads share by mistake shows."""
    from polygraphy.backend.trt import TrtRunner

    plugin = CircPad(pads=[1, 2, 3, 4])
    expected = [plugin.reference(IMAGE + number) for number in range(4)]
    profile = Profile([IMAGE.shape], [IMAGE.shape], [IMAGE.shape])
    layer = build_layer(plugin, profile, [float32], interface="v3", flavour=lean)
    with ExitStack() as stack:

        def create_launch() -> Launch:
            context = stack.enter_context(layer.context())
            return lambda stream, y, x: context.enqueue_pointers([IMAGE.shape], [x], [y], 0, stream)

        engine = StandInEngine(trt, {"x": IMAGE.shape, "y": expected[0].shape}, create_launch)
        contexts = [
            ReadyContext(stack, TrtRunner(engine), {"x": IMAGE + number}) for number in range(4)
        ]
        lanes = [Lane([context], no_range) for context in contexts]
        for is_captured in (False, True):
            for lane in lanes:
                if is_captured:
                    lane.contexts[0].capture(lane.stream)
                lane.contexts[0].outputs["y"][:] = 0
            at_once(lanes, lambda lane: lane.run(200, "run"))
            for context, array in zip(contexts, expected, strict=True):
                assert np.array_equal(context.outputs["y"], array)


@pytest.mark.slow
def test_pytorch_is_timed_on_the_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Doubling(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return 2 * x

    program = torch.export.export(Doubling(), (torch.zeros(X.shape),))
    torch.export.save(program, tmp_path / "double.pt2")
    monkeypatch.setitem(sys.modules, "net", SimpleNamespace(Doubling=Doubling))
    for name in (str(tmp_path / "double.pt2"), "net:Doubling"):
        peer = time_torch(name, {"x": X}, ["y"], TimingOptions(5))
        assert np.array_equal(peer.outputs["y"], 2 * X)
        assert torch.cuda.get_device_name() in peer.name
        assert len(peer.times_ms) == 5
