"""``pluginkit view``: a page, its report, and nothing overwritten."""

import json
from pathlib import Path

import pytest

from pluginkit.cli.main import main
from pluginkit.errors import MissingDependencyError

Capture = pytest.CaptureFixture[str]

MODEL = Path(__file__).parents[2] / "examples" / "models" / "sage_dyn.onnx"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    copy = tmp_path / "sage.onnx"
    copy.write_bytes(MODEL.read_bytes())
    return copy


def test_a_page_is_written_to_the_models_folder(model: Path, capsys: Capture) -> None:
    assert main(["view", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "sage.onnx: 43 nodes: 5 rewritten, 38 native." in printed
    assert f"Wrote {model.with_suffix('.html')}" in printed
    page = model.with_suffix(".html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "ReplaceScatterElements puts ScatterElements_PK in its place." in page
    assert sorted(one.name for one in model.parent.iterdir()) == ["sage.html", "sage.onnx"]


def test_what_tensorrt_refuses_is_marked_with_the_next_step(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "soft_clip.onnx"
    path.write_bytes(MODEL.with_name(path.name).read_bytes())
    assert main(["view", str(path)]) == 0
    assert "soft_clip.onnx: 3 nodes: 1 refused, 2 native." in capsys.readouterr().out
    page = path.with_suffix(".html").read_text()
    assert page.count(f'"next":"pluginkit new MySoftClip --from {path}:node_soft_clip"') == 1
    assert page.count('"next":""') == 2
    assert main(["view", str(path), "--no-scan"]) == 0
    assert "soft_clip.onnx: 3 nodes: 3 not asked." in capsys.readouterr().out


def test_without_tensorrt_the_page_says_so(
    model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingDependencyError("PK200", "there is no TensorRT.")

    monkeypatch.setattr("pluginkit.engine.scan.scan_model.scan", missing)
    assert main(["view", str(model), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["models"]
    assert report["notes"] == ["TensorRT was not asked: there is no TensorRT."]
    assert report["counts"]["rewritten"] == 5


@pytest.mark.slow
def test_before_and_after_are_compared(model: Path, capsys: Capture) -> None:
    after, page = model.with_name("after.onnx"), model.with_name("both.html")
    assert main(["rewrite", str(model), "-o", str(after)]) == 0
    capsys.readouterr()
    argv = ["view", str(model), str(after), "-o", str(page), "--json"]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["page"] == str(page)
    assert [one["differing"] for one in report["models"]] == [5, 5]
    assert [one["counts"]["plugin"] for one in report["models"]] == [0, 5]
    assert main(argv) == 0  # a page is replaced by a newer one


def test_what_is_no_page_is_not_overwritten(model: Path, capsys: Capture) -> None:
    before = model.read_bytes()
    assert main(["view", str(model), "-o", str(model)]) == 2
    assert "PK631" in capsys.readouterr().err
    assert model.read_bytes() == before


@pytest.mark.parametrize("output", ["missing/page.html", "."])
def test_a_page_that_cannot_be_written_is_bad_input(
    output: str, model: Path, capsys: Capture
) -> None:
    argv = ["view", str(model), "-o", str(model.parent / output)]
    assert main(argv) == 2
    assert "PK630" in capsys.readouterr().err
    assert [one.name for one in model.parent.iterdir()] == ["sage.onnx"]


def test_a_model_that_cannot_be_read_is_bad_input(tmp_path: Path, capsys: Capture) -> None:
    assert main(["view", str(tmp_path / "missing.onnx")]) == 2
    assert "PK400" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
