"""Plans with their plugins inside, built by the real TensorRT-RTX, and libraries of a model."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pluginkit.cli.main import main
from pluginkit.engine import BuildOptions, BuildResult, build_engine
from pluginkit.engine.plan.manifest import read_manifest

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
    # With so few elements the rank 2 nodes need one kernel for each of min, max and add; the vector
    # fits a tile, whose kernel is the fourth.
    assert document["record"]["kernels"] == 4


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
