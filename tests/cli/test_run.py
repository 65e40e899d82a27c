"""``pluginkit run`` with Polygraphy's own TrtRunner, on a stand-in for CUDA, cupy and the engine.

The stand-in computes y = 2 x in host memory. It takes addresses, shapes and allocators as an
IExecutionContext does, and refuses an enqueue without them.
"""

import ctypes
import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluginkit.cli.commands.run import _statistics
from pluginkit.cli.main import main
from pluginkit.device.gpus import Gpu
from pluginkit.engine.plan import run_engine, time_runs
from pluginkit.engine.plan.manifest import Range, Tensor
from pluginkit.trt.flavour import load_flavour
from tests.unit.engine.plan.test_check_manifest import MANIFEST, save

Capture = pytest.CaptureFixture[str]


class HostCuda:
    """Plays Polygraphy's wrapper of the CUDA runtime, with host memory."""

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.copied: list[int] = []
        self.is_busy = False
        self.seconds = 0

    def create_stream(self) -> int:
        return 7

    def stream_synchronize(self, stream: int) -> None:
        assert stream == 7
        self.is_busy = False

    destroy_stream = stream_synchronize

    def malloc(self, nbytes: int) -> int:
        buffer = ctypes.create_string_buffer(nbytes)
        self.memory[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, pointer: int) -> None:
        if pointer:
            del self.memory[pointer]

    def memcpy(self, dst: int, src: int, nbytes: int, kind: Any, stream_ptr: Any = None) -> None:
        assert stream_ptr == 7 or not self.is_busy  # the others do not wait for the stream
        ctypes.memmove(dst, src, nbytes)
        self.copied.append(kind.value)
        self.seconds += kind.value  # 1 to the GPU, 2 back


class DoublingEngine:
    """Plays an ICudaEngine and its IExecutionContext: x float32[n, 4], sizes int64[2], y = 2 x."""

    num_io_tensors, num_optimization_profiles, active_optimization_profile = 3, 1, 0

    def __init__(self, trt: Any, cuda: HostCuda) -> None:
        self.trt, self.cuda = trt, cuda
        self.shapes: dict[str, Any] = {"x": (-1, 4), "sizes": (2,), "y": (-1, 4)}
        self.addresses: dict[str, int] = {}
        self.allocator: Any = None
        self.enqueues, self.fails_after, self.is_capturing = 0, 99, False

    def create_execution_context(self) -> Any:
        return self

    def get_tensor_name(self, index: int) -> str:
        return ("x", "sizes", "y")[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.OUTPUT if name == "y" else self.trt.TensorIOMode.INPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.int64 if name == "sizes" else self.trt.float32

    def get_tensor_format(self, name: str, profile: int) -> Any:
        return self.trt.TensorFormat.LINEAR

    def get_tensor_shape(self, name: str) -> Any:
        return self.shapes[name]

    def is_shape_inference_io(self, name: str) -> bool:
        return name == "sizes"

    def get_aliased_input_tensor(self, name: str) -> None:
        return None

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

    def execute_async_v3(self, stream: int) -> bool:
        self.enqueues += 1
        if self.enqueues > self.fails_after:
            return False
        if not self.is_capturing:
            self.compute()
        return True

    def compute(self) -> None:
        shape = self.shapes["x"]
        size = int(np.prod(shape))
        x = np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.addresses["x"]))
        y = self.allocator.reallocate_output_async("y", 0, 4 * size, 256, 7)
        self.allocator.notify_shape("y", shape)
        ctypes.memmove(y, (2 * x).tobytes(), 4 * size)
        self.cuda.is_busy = True
        self.cuda.seconds += 7


class SomeCupy:
    """Plays cupy, its ExternalStream and its Graph."""

    def __init__(self, engine: DoublingEngine) -> None:
        self.cuda, self.engine, self.launches = self, engine, 0
        self.runtime = SimpleNamespace(CUDARuntimeError=RuntimeError)
        self.is_invalid = False

    def ExternalStream(self, pointer: int) -> Any:  # noqa: N802 cupy's name
        assert pointer == 7
        return self

    def begin_capture(self) -> None:
        self.engine.is_capturing = True

    def end_capture(self) -> Any:
        self.engine.is_capturing = False
        if self.is_invalid:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return self

    def launch(self, stream: Any) -> None:
        self.launches += 1
        self.engine.compute()


@dataclasses.dataclass
class Machine:
    """The stand-ins, and the command line of a plan that they run."""

    engine: DoublingEngine
    cuda: HostCuda
    cupy: SomeCupy
    argv: list[str]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    flavour = load_flavour("tensorrt_rtx")
    plan, sizes = tmp_path / "model.plan", Tensor("sizes", "int64", (2,))
    ranges = {**MANIFEST.profiles[0], "sizes": Range((1, 1), (1, 1), (9, 9), is_shape_tensor=True)}
    changed = {"inputs": (*MANIFEST.inputs, sizes), "profiles": (ranges,), "plugins": ()}
    save(plan, dataclasses.replace(MANIFEST, tensorrt=flavour.version, **changed))
    np.savez(tmp_path / "in.npz", x=np.arange(8, dtype=np.float32).reshape(2, 4), sizes=[1, 2])
    run_engine.bind_polygraphy(flavour)
    from polygraphy.backend.trt import runner
    from polygraphy.cuda import cuda

    host = HostCuda()
    engine = DoublingEngine(flavour.module, host)
    stand_in = SimpleNamespace(**{**vars(flavour.module), "ICudaEngine": DoublingEngine})
    monkeypatch.setattr(runner, "trt", stand_in)
    monkeypatch.setattr(cuda, "G_CUDA", host)
    monkeypatch.setattr(time_runs, "time", SimpleNamespace(perf_counter=lambda: host.seconds))
    monkeypatch.setattr(run_engine, "find_gpu", lambda: Gpu("NVIDIA L4", (8, 9), 2**34))
    monkeypatch.setattr(run_engine, "load_engine", lambda *args: engine)
    cupy = SomeCupy(engine)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    output = tmp_path / "out.npz"
    argv = ["run", str(plan), "--inputs", str(tmp_path / "in.npz"), "-o", str(output), "--json"]
    return Machine(engine, host, cupy, argv)


def output_of(machine: Machine, capsys: Capture, *options: str) -> Any:
    """Run the plan, check y, and return what the report says of times."""
    assert main([*machine.argv, *options]) == 0
    y = np.load(machine.argv[5])["y"]
    assert y.tolist() == (2 * np.arange(8).reshape(2, 4)).tolist()
    return json.loads(capsys.readouterr().out)["times"]


@pytest.mark.trt
def test_a_plan_is_run_once(machine: Machine, capsys: Capture) -> None:
    assert output_of(machine, capsys) is None
    assert machine.engine.enqueues == 1


@pytest.mark.trt
def test_timed_runs_copy_apart_from_computing(machine: Machine, capsys: Capture) -> None:
    times = output_of(machine, capsys, "--iterations", "5", "--warm-up", "2")
    assert machine.engine.enqueues == 7
    assert machine.cuda.copied == 7 * [1, 2]  # x to the GPU, y back; the sizes stay on the host
    assert {part: numbers["runs"] for part, numbers in times["milliseconds"].items()} == {
        "compute": 5 * [7000],
        "copies to the GPU": 5 * [1000],
        "copies from the GPU": 5 * [2000],
        "all": 5 * [10000],
    }
    assert times["runs_per_second"] == pytest.approx(1 / 7)
    assert times["runs_per_second_with_copies"] == pytest.approx(1 / 10)
    assert machine.cupy.launches == 0


@pytest.mark.trt
def test_a_cuda_graph_is_captured_once_and_replayed(machine: Machine, capsys: Capture) -> None:
    times = output_of(machine, capsys, "--iterations", "5", "--cuda-graph")
    assert times["cuda_graph"]
    assert machine.engine.enqueues == 2  # the first run, and the capture
    assert machine.cupy.launches == 2 + 5


@pytest.mark.trt
def test_an_enqueue_that_fails_is_said(machine: Machine, capsys: Capture) -> None:
    machine.engine.fails_after = 3
    assert main([*machine.argv, "--iterations", "5"]) == 1
    assert "PK543 TensorRT could not run the plan once more" in capsys.readouterr().err
    machine.engine.fails_after, machine.cupy.is_invalid = 99, True
    assert main([*machine.argv, "--iterations", "5", "--cuda-graph"]) == 1
    said = capsys.readouterr().err
    assert "PK543 the plan's enqueue cannot be captured" in said
    machine.engine.fails_after, machine.cupy.is_invalid = machine.engine.enqueues + 1, False
    assert main([*machine.argv, "--iterations", "5", "--cuda-graph"]) == 1
    assert "TensorRT's enqueue failed" in capsys.readouterr().err
    assert "cudaErrorStreamCaptureInvalidated" in said
    assert not Path(machine.argv[5]).exists()


@pytest.mark.trt
def test_the_table_has_percentiles_and_throughput(machine: Machine, capsys: Capture) -> None:
    assert main([*machine.argv[:-1], "--iterations", "2", "--cuda-graph"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["p50", "p90", "p99", "mean", "best", "worst"] in lines
    assert len(next(line for line in lines if line[:1] == ["compute"])) == 7
    assert "2 runs of a CUDA graph, after 3 to warm up:" in " ".join(lines[-1])


def test_percentiles_are_those_of_the_runs() -> None:
    found = _statistics(tuple(range(101, 0, -1)))
    assert [found[name] for name in ("p50", "p90", "p99", "mean", "best", "worst")] == [
        51, 91, 100, 51, 1, 101,
    ]  # fmt: skip


@pytest.mark.parametrize("option", [["--warm-up", "2"], ["--cuda-graph"]])
def test_options_of_timed_runs_need_iterations(option: list[str], capsys: Capture) -> None:
    assert main(["run", "m.plan", "--inputs", "x.npz", *option]) == 2
    assert "PK542 --warm-up and --cuda-graph are for timed runs" in capsys.readouterr().err
