"""What times engines, on a GPU: streams, copies, CUDA graphs and peers are real, the engine is not.

A stand-in plays the engine: its contexts launch a kernel, y = 2 x and then some arithmetic that
takes about a millisecond on one multiprocessor, in the stream that they are given.
"""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluginkit.engine.timing.lane import cupy_stream
from pluginkit.engine.timing.peers import time_torch
from pluginkit.engine.timing.time_runs import time_runs
from pluginkit.engine.timing.timing import Timing, TimingOptions
from pluginkit.trt.flavour import Flavour

pytestmark = pytest.mark.gpu

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


class SpinningContext:
    """Plays an IExecutionContext with an input x and an output y."""

    active_optimization_profile = 0

    def __init__(self, engine: "SpinningEngine") -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.allocator: Any = None
        self.output = 0

    def get_tensor_shape(self, name: str) -> Any:
        return X.shape

    def get_tensor_address(self, name: str) -> int:
        return self.addresses.get(name, 0)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[name] = pointer
        return True

    def set_output_allocator(self, name: str, allocator: Any) -> bool:
        self.allocator = allocator
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.output = self.output or self.allocator.reallocate_output("y", 0, X.nbytes, 256)
        self.allocator.notify_shape("y", X.shape)
        self.engine.launch(stream, self.output, self.addresses["x"])
        return True


class SpinningEngine:
    """Plays an ICudaEngine."""

    num_io_tensors = 2

    def __init__(self, trt: Any) -> None:
        import cupy

        self.trt = trt
        self.kernel = cupy.RawKernel(SPIN, "spin")
        self.kernel.compile()

    def launch(self, stream: int, y: int, x: int) -> None:
        pointers = np.uint64(y), np.uint64(x)
        with cupy_stream(stream):
            self.kernel((4,), (1024,), (*pointers, np.int32(X.size), np.int32(400_000)))

    def create_execution_context(self) -> SpinningContext:
        return SpinningContext(self)

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if name == "x" else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.float32

    def get_tensor_format(self, name: str, profile: int = 0) -> Any:
        return self.trt.TensorFormat.LINEAR

    def get_tensor_shape(self, name: str) -> Any:
        return X.shape

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_aliased_input_tensor(self, name: str) -> None:
        return None


@pytest.fixture
def timed(lean: Flavour, monkeypatch: pytest.MonkeyPatch) -> Callable[[TimingOptions], Timing]:
    """Polygraphy's TrtRunner on the stand-in, with tensorrt_lean's types where it has them."""
    trt = ModuleType("tensorrt")
    formats = SimpleNamespace(LINEAR=0, HWC=1, CHW16=2)
    vars(trt).update(vars(lean.module) | {"ICudaEngine": SpinningEngine, "TensorFormat": formats})
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    from polygraphy.backend.trt import TrtRunner

    engine = SpinningEngine(trt)

    def time_them(how: TimingOptions) -> Timing:
        timing = time_runs(trt, lambda: TrtRunner(engine), {"x": X}, how)
        assert np.array_equal(timing.outputs["y"], 2 * X)
        return timing

    return time_them


def test_streams_run_at_once(timed: Callable[[TimingOptions], Timing]) -> None:
    one, four = (timed(TimingOptions(20, streams=streams)) for streams in (1, 4))
    print(one.runs_per_second, four.runs_per_second)  # noqa: T201 a figure for the log
    print(one.runs_per_second_with_copies, four.runs_per_second_with_copies)  # noqa: T201
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
def test_pytorch_is_timed_on_the_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
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
