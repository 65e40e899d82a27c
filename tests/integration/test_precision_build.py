"""TensorRT-RTX builds models with a precision in them, for every capability of the tables."""

import json
import shutil
from pathlib import Path

import onnx
import pytest

from pluginkit.cli.main import main
from pluginkit.engine import BuildOptions, build_engine
from pluginkit.errors import UsageError
from pluginkit.onnx.precision.precision_options import Precision
from tests.unit.onnx.precision.float_models import cnn, transformer

pytestmark = pytest.mark.trt

SAGE = Path(__file__).parents[2] / "examples" / "models" / "sage_dyn.onnx"
ALL = ["8.6", "8.9", "12.0"]
Capture = pytest.CaptureFixture[str]


def model_file(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    if name == "gnn":
        shutil.copy(SAGE, path)
    else:
        onnx.save({"cnn": cnn, "transformer": transformer}[name](), path)
    return path


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["cnn", "gnn", "transformer"])
def test_models_build_in_16_bits(name: str, dtype: str, tmp_path: Path) -> None:
    options = BuildOptions(
        flavour="tensorrt_rtx", compute_capabilities=ALL, precision=Precision(dtype)
    )
    result = build_engine(model_file(name, tmp_path), options=options)
    assert result.precision is not None
    assert result.precision.converted >= 8
    assert list(result.manifest.compute_capabilities) == ALL
    assert {tensor.dtype for tensor in result.manifest.outputs} == {"float32"}
    assert result.plan_path.stat().st_size == result.manifest.plan_bytes


def test_a_build_converts_inputs_and_outputs_on_request(tmp_path: Path) -> None:
    path = model_file("cnn", tmp_path)
    argv = ["build", str(path), "--precision", "float16", "--convert-io", "--keep-ops", "Gemm"]
    assert main([*argv, "--compute-capability", "8.9", "--tensorrt", "tensorrt_rtx"]) == 0
    manifest = json.loads((tmp_path / "cnn.plan.json").read_text())
    assert [each["dtype"] for each in manifest["inputs"] + manifest["outputs"]] == [
        "float16",
        "float16",
    ]


def test_the_types_are_either_in_the_model_or_for_tensorrt_to_choose(tmp_path: Path) -> None:
    options = BuildOptions(flavour="tensorrt_rtx", fp16=True, precision=Precision("float16"))
    with pytest.raises(UsageError) as caught:
        build_engine(model_file("cnn", tmp_path), options=options)
    assert caught.value.code == "PK513"
    assert caught.value.fix == "add --precision float16, which puts it into the model."
