"""Plans with their plugins inside, built by the real TensorRT-RTX, and libraries of a model."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.cli.main import main
from pluginkit.engine import BuildOptions, BuildResult, build_engine
from pluginkit.engine.plan.manifest import read_manifest
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.plugins.circ_pad import CircPad

pytestmark = [pytest.mark.slow, pytest.mark.trt]
pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")

MODEL = Path(__file__).parents[2] / "examples" / "models" / "sage_dyn.onnx"
STANDALONE = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"], standalone=True)

#: A program without pluginkit; without a GPU TensorRT stops after it has loaded the library from
#: the plan.
LOADING = """
import sys
import tensorrt_rtx as trt

class Log(trt.ILogger):
    def log(self, severity, message):
        print(message)

runtime = trt.Runtime(log := Log())
runtime.engine_host_code_allowed = True
engine = runtime.deserialize_cuda_engine(open(sys.argv[1], "rb").read())
print("engine", engine is not None, "pluginkit" in sys.modules)
"""


#: Plans in one process: by one runtime, or by one for each. Prints the libraries that were loaded,
#: the errors about plugins and the plugins of the last runtime, for each plan.
TOGETHER = """
import json, sys
import tensorrt_rtx as trt

said = []

class Log(trt.ILogger):
    def log(self, severity, message):
        said.append(message)

log, runtimes = Log(), []
for path in sys.argv[2:]:
    if not runtimes or sys.argv[1] == "each":
        runtimes.append(trt.Runtime(log))
        runtimes[-1].engine_host_code_allowed = True
    runtimes[-1].deserialize_cuda_engine(open(path, "rb").read())
    loaded = [each for each in said if "Deserialized plugin library" in each]
    errors = [each for each in said if "plugin creator" in each]
    names = {each.name for each in runtimes[-1].get_plugin_registry().all_creators}
    print(json.dumps([len(loaded), errors, sorted(each for each in names if "_PK" in each)]))
    said.clear()
del runtimes
"""


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of another model, with another plugin."""
    folder = tmp_path_factory.mktemp("padded")
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *sizes])
        for name, sizes in (("x", (3, 4)), ("y", (4, 5)))
    )
    node = plugin_node(CircPad(pads=(1, 1, 0, 0)), ["x"], ["y"], "pad")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    graph = helper.make_graph([node], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, folder / "padded.onnx")
    return build_engine(
        folder / "padded.onnx", folder / "padded.plan", options=STANDALONE
    ).plan_path


def together(*arguments: object) -> list[tuple[int, list[str], list[str]]]:
    ended = subprocess.run(
        [sys.executable, "-c", TOGETHER, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    plan = tmp_path_factory.mktemp("plans") / "standalone.plan"
    return build_engine(MODEL, plan, options=STANDALONE)


def test_the_plan_holds_the_library_that_the_manifest_names(standalone: BuildResult) -> None:
    library = read_manifest(standalone.plan_path).library
    assert library is not None
    assert library.proved_calls > 1000
    plan = standalone.plan_path.read_bytes()
    starts = [at for at in range(len(plan)) if plan.startswith(b"\x7fELF", at)]
    found = {hashlib.sha256(plan[at : at + library.bytes]).hexdigest() for at in starts}
    assert library.sha256 in found


def test_another_process_loads_the_library_from_the_plan(standalone: BuildResult) -> None:
    library = read_manifest(standalone.plan_path).library
    assert library is not None
    ended = subprocess.run(
        [sys.executable, "-c", LOADING, str(standalone.plan_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Deserialized plugin library with size {library.bytes}" in ended.stdout
    assert ended.stdout.splitlines()[-1] in ("engine False False", "engine True False")


def test_plans_with_different_plugins_share_a_runtime(
    standalone: BuildResult, padded: Path
) -> None:
    first, second = together("one", standalone.plan_path, padded)
    assert first == (1, [], ["ScatterElements_PK"])
    assert second == (1, [], ["CircPad_PK", "ScatterElements_PK"])


def test_plans_with_a_plugin_in_common_need_a_runtime_each(padded: Path) -> None:
    assert together("each", padded, padded) == [(1, [], ["CircPad_PK"])] * 2
    first, (loaded, errors, names) = together("one", padded, padded)
    assert first == (1, [], ["CircPad_PK"])
    assert loaded == 0
    assert "creator of CircPad_PK exists already" in errors[0]
    assert names == ["CircPad_PK"]


def test_a_model_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["export", str(MODEL), "-o", str(tmp_path), "--compute-capability", "8.9", "--json"]
    assert (
        main([*argv, "--shapes", "x:1x16,8x16,64x16", "--shapes", "edge_index:2x1,2x32,2x256"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["left_out"] == []
    assert len(document["record"]["variants"]) == 4
    for variant in document["record"]["variants"]:
        assert "data float32[1..64" in variant
        assert "updates float32[1..256" in variant
    # With so few elements the rank 2 nodes need one kernel for each of min, max and add, for which
    # there is another one for wide rows; the vector fits a tile, whose kernel is the fifth.
    assert document["record"]["kernels"] == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["m.onnx", "NonZero"], "PK814"),
        (["NonZero", "--tensorrt", "7.2"], "PK807"),
        (["NonZero", "--types", "float8"], "PK811"),
        (["NoSuchPlugin"], "PK611"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str
) -> None:
    assert main(["export", *arguments, "-o", str(tmp_path)]) == 2
    assert code in capsys.readouterr().err


def test_without_a_compiler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert main(["export", "NonZero", "-o", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err
    assert "PK805" in said
    assert "g++" in said
