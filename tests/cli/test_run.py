"""``pluginkit run`` with Polygraphy's own TrtRunner, on stand-ins for CUDA, cupy and the engine."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from pluginkit.cli.main import main
from pluginkit.cli.run_report import statistics
from pluginkit.engine.plan.output_files import sha256_of
from tests.cli.stand_in_engine import Machine, machine_in

Capture = pytest.CaptureFixture[str]
DOUBLE = (
    '<ir_version: 10, opset_import: ["" : 18]> g (float[n, 4] x, int64[2] sizes) => '
    "(float[n, 4] y) {{ y = {}(x, x) }}"
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return machine_in(tmp_path, monkeypatch)


def argv_of(machine: Machine, *options: str) -> list[str]:
    output = machine.plan.with_name("out.npz")
    inputs = ["--inputs", str(machine.inputs), "-o", str(output)]
    return ["run", str(machine.plan), *inputs, *options]


def output_of(machine: Machine, capsys: Capture, *options: str) -> Any:
    """Run the plan, check y, and return what the report says of times."""
    assert main(argv_of(machine, "--json", *options)) == 0
    y = np.load(machine.plan.with_name("out.npz"))["y"]
    assert y.tolist() == (2 * np.arange(8).reshape(2, 4)).tolist()
    return json.loads(capsys.readouterr().out)["times"]


@pytest.mark.trt
def test_a_plan_is_run_once(machine: Machine, capsys: Capture) -> None:
    assert output_of(machine, capsys) is None
    assert machine.engine.enqueues == 1
    assert machine.engine.contexts[0].strategy is None


@pytest.mark.trt
def test_timed_runs_copy_apart_from_computing(machine: Machine, capsys: Capture) -> None:
    times = output_of(machine, capsys, "--iterations", "5", "--warm-up", "2")
    assert machine.engine.enqueues == 2 + 5 + 5
    assert machine.engine.contexts[0].strategy.name == "EAGER"  # no slower kernels meanwhile
    assert machine.cuda.copied == 7 * [1, 2]  # x to the GPU, y back; the sizes stay on the host
    assert {part: numbers["runs"] for part, numbers in times["milliseconds"].items()} == {
        "compute": 5 * [7000],
        "copies to the GPU": 5 * [1000],
        "copies from the GPU": 5 * [2000],
        "all": 5 * [10000],
    }
    assert times["runs_per_second"] == pytest.approx(1 / 7)
    assert times["runs_per_second_with_copies"] == pytest.approx(1 / 10)
    assert (times["streams"], times["contexts"], times["layers"]) == (1, 1, None)
    assert machine.cupy.launches == 0


@pytest.mark.trt
@pytest.mark.parametrize(
    ("options", "contexts"),
    [
        (("--streams", "3"), 3),
        (("--contexts", "3"), 3),
        (("--streams", "3", "--contexts", "6"), 6),
        (("--streams", "3", "--contexts", "4", "--cuda-graph"), 4),
    ],
)
def test_streams_run_at_once_each_with_contexts_of_its_own(
    options: tuple[str, ...], contexts: int, machine: Machine, capsys: Capture
) -> None:
    times = output_of(machine, capsys, "--iterations", "4", "--warm-up", "1", *options)
    assert len(machine.engine.contexts) == times["contexts"] == contexts
    assert times["streams"] == 3
    assert len(times["milliseconds"]["all"]["runs"]) == 12
    computed = machine.cupy.launches if "--cuda-graph" in options else machine.engine.enqueues
    assert computed == 24 + (0 if "--cuda-graph" in options else contexts)
    streams = {7 + at for at in range(3)}
    assert {*machine.cuda.copied_in[2 * contexts :]} == streams  # none waits for another stream
    in_turn = [context.stream for context in machine.engine.contexts]
    assert in_turn == [7 + at % 3 for at in range(contexts)]


@pytest.mark.trt
@pytest.mark.parametrize("is_older", [False, True])
def test_a_cuda_graph_is_captured_once_and_replayed(
    is_older: bool, machine: Machine, capsys: Capture
) -> None:
    if is_older:  # than cupy 14
        machine.cupy.Stream = SimpleNamespace()
    times = output_of(machine, capsys, "--iterations", "5", "--cuda-graph")
    assert times["cuda_graph"]
    assert machine.engine.enqueues == 2  # the first run, and the capture
    assert machine.cupy.launches == 2 + 5 + 5


@pytest.mark.trt
def test_an_enqueue_that_fails_is_said(machine: Machine, capsys: Capture) -> None:
    engine, timed = machine.engine, argv_of(machine, "--iterations", "5")
    engine.fails_after = 3
    assert main(timed) == 1
    assert "PK543 TensorRT could not run the plan once more" in capsys.readouterr().err
    engine.enqueues = 0
    assert main([*timed, "--streams", "2"]) == 1
    assert "PK543 TensorRT could not run the plan once more" in capsys.readouterr().err
    engine.fails_after, machine.cupy.is_invalid = 99, True
    assert main([*timed, "--cuda-graph"]) == 1
    said = capsys.readouterr().err
    assert "PK543 the plan's enqueue cannot be captured" in said
    engine.fails_after, machine.cupy.is_invalid = engine.enqueues + 1, False
    assert main([*timed, "--cuda-graph"]) == 1
    assert "TensorRT's enqueue failed" in capsys.readouterr().err
    engine.is_capturable, engine.enqueues = False, 0
    assert main([*timed, "--cuda-graph"]) == 1
    assert "Cause: TensorRT says so before it tries" in capsys.readouterr().err
    assert "cudaErrorStreamCaptureInvalidated" in said
    assert not machine.plan.with_name("out.npz").exists()


@pytest.mark.trt
@pytest.mark.parametrize("graph", [(), ("--cuda-graph",)])
def test_layers_are_profiled_in_runs_of_their_own(
    graph: tuple[str, ...], machine: Machine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    machine.cupy.nvtx = SimpleNamespace(
        available=True, RangePush=opened.append, RangePop=lambda: opened.append("end")
    )
    monkeypatch.setitem(sys.modules, "cupy.cuda", machine.cupy)
    profiled = ("--iterations", "2", "--warm-up", "2", "--profile", "layers", *graph)
    times = output_of(machine, capsys, *profiled)
    gemm, scale = times["layers"]  # gemm is in a loop, and reported twice in each run
    assert (gemm["name"], gemm["mean"], gemm["share"]) == ("gemm", 2.5, 2.5 / 3)
    assert (scale["name"], scale["p99"], scale["plugin"]) == ("node_scale", 0.5, True)
    assert not gemm["plugin"]
    assert times["nvtx"] == "cupy"
    assert [name for name in opened if name != "end"] == [
        "warm-up 0", "run 0", "run 1", "enqueue 0", "enqueue 1", "profiled run 0", "profiled run 1",
    ]  # fmt: skip
    assert opened.count("end") == 7


@pytest.mark.trt
def test_layers_that_the_inspector_calls_plugins_are_plugins(
    machine: Machine, capsys: Capture
) -> None:
    machine.engine.layers = [("resize", 1.0), ("gemm", 3.0)]
    assert main(argv_of(machine, "--iterations", "2", "--profile", "layers")) == 0
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "resize plugin 1.0000 1.0000 1.0000 25.0%" in printed
    assert "2 layers, 4.000 ms in the mean; 1 of them plugins, which take 25.0%." in printed
    machine.engine.layers = []
    assert main(argv_of(machine, "--iterations", "2", "--profile", "layers")) == 1
    assert "PK543 TensorRT measured no layers" in capsys.readouterr().err


@pytest.mark.trt
def test_a_page_is_written(machine: Machine, capsys: Capture) -> None:
    page = machine.plan.with_name("run.html")
    options = ("--iterations", "2", "--profile", "layers", "--html", str(page))
    assert main(argv_of(machine, *options)) == 0
    assert f"Wrote {page}." in capsys.readouterr().err
    text = page.read_text(encoding="utf-8")
    for found in ("model.plan", "NVIDIA L4", '"name":"node_scale","plugin":true', "tensorrt_rtx"):
        assert found in text
    assert main(argv_of(machine, *options[:-1], str(page.parent / "none" / "run.html"))) == 2
    assert "PK525 " in capsys.readouterr().err


@pytest.mark.trt
def test_the_table_has_percentiles_and_throughput(machine: Machine, capsys: Capture) -> None:
    options = ("--iterations", "2", "--cuda-graph", "--contexts", "2", "--streams", "1")
    assert main(argv_of(machine, *options)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["p50", "p90", "p99", "mean", "best", "worst"] in lines
    assert len(next(line for line in lines if line[:1] == ["compute"])) == 7
    assert (
        "2 runs of a CUDA graph in each of 1 stream (2 contexts), after 3 to warm up: "
        "0.1 in a second without waiting or copies, 0.1 with both." in " ".join(lines[-1])
    )


@pytest.mark.trt
@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_onnxruntime_is_timed_and_compared(
    op_type: str, machine: Machine, capsys: Capture, tmp_path: Path
) -> None:
    onnx.save(onnx.parser.parse_model(DOUBLE.format(op_type)), tmp_path / "model.onnx")
    times = output_of(machine, capsys, "--iterations", "3", "--against", "onnxruntime")
    (peer,) = times["against"]
    assert peer["name"].startswith("ONNX Runtime")
    assert len(peer["milliseconds"]["runs"]) == 3
    assert peer["differences"] == {
        "y": {"largest": 0 if op_type == "Add" else 35, "ok": op_type == "Add"}
    }
    assert main(argv_of(machine, "--iterations", "3", "--against", "onnxruntime")) == 0
    printed = capsys.readouterr()
    assert ("differs" in printed.out) == (op_type == "Mul")
    assert "is another model than the plan was built from" in printed.err


@pytest.mark.trt
def test_the_model_of_the_plan_is_taken_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    model = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(DOUBLE.format("Add")), model)
    machine = machine_in(tmp_path, monkeypatch, model_sha256=sha256_of(model))
    assert output_of(machine, capsys, "--iterations", "1", "--against", "onnxruntime")["against"]
    onnx.save(onnx.parser.parse_model(DOUBLE.format("Unknown")), model)
    assert main(argv_of(machine, "--iterations", "1", "--against", "onnxruntime")) == 2
    assert "PK441 ONNX Runtime" in capsys.readouterr().err
    model.unlink()
    assert main(argv_of(machine, "--iterations", "1", "--against", "onnxruntime")) == 2
    assert "PK542 --against onnxruntime does not find the model" in capsys.readouterr().err


class HostTensor:
    """Plays a tensor of PyTorch."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def to(self, device: str) -> "HostTensor":
        assert device == "cpu"
        return self

    def cpu(self) -> "HostTensor":
        return self

    def numpy(self) -> Any:
        return self.array


class Doubling:
    """Plays a torch.nn.Module."""

    def eval(self) -> "Doubling":
        return self

    def to(self, device: str) -> "Doubling":
        return self

    def __call__(self, x: HostTensor, sizes: HostTensor) -> Any:
        return {"y": HostTensor(x.array * 2)}


def some_torch() -> Any:
    from contextlib import nullcontext

    return SimpleNamespace(
        __version__="9.9",
        nn=SimpleNamespace(Module=Doubling),
        Tensor=HostTensor,
        cuda=SimpleNamespace(is_available=lambda: False),
        inference_mode=nullcontext,
        from_numpy=HostTensor,
    )


@pytest.mark.trt
@pytest.mark.parametrize("name", ["Doubling", "instance"])
def test_a_pytorch_program_is_timed_and_compared(
    name: str, machine: Machine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = SimpleNamespace(Doubling=Doubling, instance=Doubling(), broken=Doubling.eval)
    monkeypatch.setitem(sys.modules, "torch", some_torch())
    monkeypatch.setitem(sys.modules, "net", program)
    options = ("--iterations", "2", "--against", "torch", "--module")
    times = output_of(machine, capsys, *options, f"net:{name}")
    (peer,) = times["against"]
    assert peer["name"] == "PyTorch 9.9, CPU"
    assert peer["differences"]["y"] == {"largest": 0, "ok": True}
    assert main(argv_of(machine, *options, "net:broken")) == 2
    assert "PK545 the PyTorch program 'net:broken' cannot be timed" in capsys.readouterr().err


@pytest.mark.trt
def test_without_pytorch_its_absence_is_said(
    machine: Machine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    options = ("--iterations", "2", "--against", "torch", "--module", "net:Net")
    assert main(argv_of(machine, *options)) == 2
    assert "PK620 Python package 'torch' is not installed" in capsys.readouterr().err


def test_percentiles_are_those_of_the_runs() -> None:
    found = statistics(tuple(range(101, 0, -1)))
    assert [found[name] for name in ("p50", "p90", "p99", "mean", "best", "worst")] == [
        51, 91, 100, 51, 1, 101,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--warm-up", "2"], "--warm-up is for timed runs"),
        (["--cuda-graph", "--html", "a"], "--cuda-graph, --html is for timed runs"),
        (["--iterations", "1", "--streams", "3", "--contexts", "2"], "2 contexts cannot run in 3"),
        (["--iterations", "1", "--model", "m.onnx"], "--model says what onnxruntime runs"),
        (["--iterations", "1", "--module", "a:b"], "--module says what torch runs"),
        (["--iterations", "1", "--against", "torch"], "does not say what PyTorch runs"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str], said: str, capsys: Capture
) -> None:
    assert main(["run", "m.plan", "--inputs", "x.npz", *options]) == 2
    printed = capsys.readouterr().err
    assert "PK542 " in printed
    assert said in printed


def test_no_streams_at_all_are_refused(capsys: Capture) -> None:
    assert main(["run", "m.plan", "--inputs", "x.npz", "--iterations", "1", "--streams", "0"]) == 2
    assert "'0' is not a whole number above 0" in capsys.readouterr().err
