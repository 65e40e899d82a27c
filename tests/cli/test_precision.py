"""The options that put a precision into a model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from pluginkit.cli.main import main
from tests.unit.onnx.precision.float_models import cnn, transformer

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "cnn.onnx"
    onnx.save(cnn(), path)
    return path


def test_rewrite_writes_a_model_that_compare_checks(model: Path, capsys: Capture) -> None:
    assert main(["rewrite", str(model), "--precision", "float16", "--keep-ops", "Gemm"]) == 0
    printed = capsys.readouterr().out
    assert "float16: 7 nodes converted, 2 casts added, 1 kept in float32." in printed
    assert "kept by 'Gemm'" in printed
    made = model.with_name("cnn.float16.onnx")
    assert f"Wrote {made}." in printed
    assert main(["compare", str(model), str(made), "--taps"]) == 0
    assert "agree" in capsys.readouterr().out


def test_rewrite_reports_json_and_writes_nothing_in_a_dry_run(model: Path, capsys: Capture) -> None:
    argv = ["rewrite", str(model), "--precision", "bfloat16", "--keep", "*c1", "--dry-run"]
    assert main([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["precision"]["converted"] == 7
    assert report["precision"]["kept"][0]["reason"] == "kept by '*c1'"
    assert report["output"] is None
    assert list(model.parent.iterdir()) == [model]


def test_inputs_come_from_a_file_or_a_folder(tmp_path: Path, capsys: Capture) -> None:
    model = tmp_path / "block.onnx"
    onnx.save(transformer(), model)
    folder = tmp_path / "inputs"
    folder.mkdir()
    x = np.ones((1, 2, 32), np.float32)
    for number, scale in enumerate((1, 1e6)):
        np.savez(folder / f"{number}.npz", x=x * scale, mask=np.ones((1, 2), np.int64))
    argv = ["rewrite", str(model), "--precision", "float16", "--dry-run", "--precision-data"]
    assert main([*argv, str(folder / "0.npz")]) == 0
    assert "beyond float16" not in capsys.readouterr().out
    assert main([*argv, str(folder)]) == 0
    assert "beyond float16" in capsys.readouterr().out


def test_the_loss_of_int8_is_printed(model: Path, tmp_path: Path, capsys: Capture) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).standard_normal((2, 3, 16, 16), "f"))
    argv = ["rewrite", str(model), "--precision", "int8", "--calibrate", str(tmp_path / "x.npz")]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "int8: 3 nodes converted, 3 quantizations added, 0 kept in float32." in printed
    assert "Loss against float32 on the given inputs" in printed
    assert " dB" in printed
    assert model.with_name("cnn.int8.onnx").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--keep", "x"], "PK616"),
        (["--convert-io"], "PK616"),
        (["--precision", "float16", "--keep", "nowhere"], "PK460"),
        (["--precision", "float16", "--precision-data", "."], "PK610"),
        (["--precision", "float16", "--calibrate", "x.npz"], "PK616"),
        (["--precision", "int8"], "PK616"),
        (["--precision", "int8", "--ranges", "x.txt", "--convert-io"], "PK616"),
        (["--precision", "int8", "--ranges", "x.txt"], "PK617"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(
    options: list[str], code: str, model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(["rewrite", str(model), *options]) == 2
    assert code in capsys.readouterr().err
    assert list(model.parent.iterdir()) == [model]


def test_float16_needs_no_onnxruntime(model: Path) -> None:
    script = (
        "import sys; from pluginkit.cli.main import main; "
        f"assert main(['rewrite', {str(model)!r}, '--precision', 'float16']) == 0; "
        "assert 'onnxruntime' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
