"""Opt-in rewrites on the command line: left out unless they are named, and said to be."""

import json
from pathlib import Path

import onnx
import pytest

from pluginkit.cli.main import main

Capture = pytest.CaptureFixture[str]

MODEL = Path(__file__).parents[1] / "graph_rewrites" / "models" / "rms_norm_llama_ts.onnx"
NAME = "FuseSpelledOutAddRMSNorm"
ALL = ["FuseAddRMSNorm", NAME, "FuseAddRMSNormCast"]
RTX = ("--tensorrt", "tensorrt_rtx")

#: One that replaces what TensorRT takes, in a folder that a user names.
REWRITE = '''
from pluginkit import Replacement, Rewrite

class SpellRelu(Rewrite):
    """Relu(x) -> Max(x, x - x)"""

    opt_in = True
    pattern = "Relu"

    def rewrite(self, match):
        new, (x,) = Replacement(match), match.inputs
        return new.end("Max", x, new.add("Sub", x, x))
'''


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "llama.onnx"
    path.write_bytes(MODEL.read_bytes())
    return path


def made_by(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node if node.domain]


def test_a_model_is_left_alone_and_json_says_why(model: Path, capsys: Capture) -> None:
    assert main(["rewrite", str(model), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["applied"] == []
    assert [name for name in report["opt_in"] if name in ALL] == ALL
    assert [one.name for one in model.parent.iterdir()] == ["llama.onnx"]


def test_explain_says_how_to_turn_it_on(model: Path, capsys: Capture) -> None:
    assert main(["rewrite", str(model), "--dry-run", "--explain-all"]) == 0
    printed = capsys.readouterr().out
    for name in ALL:
        assert f"left out: it is opt-in; --with {name} applies it" in printed
    assert main(["rewrite", str(model), "--dry-run", "--explain-all", "--with", NAME]) == 0
    printed = capsys.readouterr().out
    assert f"--with {NAME} applies it" not in printed
    assert f"{NAME}: 4 rewritten to AddRMSNorm_PK" in printed


@pytest.mark.parametrize("option", ["--with", "--only"])
def test_a_name_turns_it_on_and_twice_changes_nothing(
    option: str, model: Path, capsys: Capture
) -> None:
    once, twice = model.with_name("once.onnx"), model.with_name("twice.onnx")
    assert main(["rewrite", str(model), option, NAME, "-o", str(once)]) == 0
    assert made_by(once) == ["AddRMSNorm_PK"] * 4
    assert main(["rewrite", str(once), option, NAME, "-o", str(twice)]) == 0
    assert "twice.onnx was not written" in capsys.readouterr().out
    assert not twice.exists()


@pytest.mark.slow
@pytest.mark.trt
def test_scan_and_build_apply_it_where_it_is_named(model: Path, capsys: Capture) -> None:
    assert main(["scan", str(model), "--json", *RTX]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [name for name in report["opt_in"] if name in ALL] == ALL
    assert report["counts"]["rewritten"] == 0
    assert main(["scan", str(model), "--json", "--with", NAME, *RTX]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["rewritten"] > 0
    argv = ["build", str(model), "--json", "--compute-capability", "8.9", *RTX]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["manifest"]["plugins"] == []
    assert set(ALL) <= set(report["opt_in"])
    assert main([*argv, "--with", NAME]) == 0
    (plugin,) = json.loads(capsys.readouterr().out)["manifest"]["plugins"]
    assert plugin["name"] == "AddRMSNorm_PK"


def test_view_marks_its_matches_where_it_is_named(model: Path, capsys: Capture) -> None:
    assert main(["view", str(model), "--no-scan", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["models"]
    assert report["counts"]["rewritten"] == 0
    assert main(["view", str(model), "--no-scan", "--json", "--with", NAME]) == 0
    (report,) = json.loads(capsys.readouterr().out)["models"]
    assert report["counts"]["rewritten"] == 4


@pytest.mark.trt
@pytest.mark.parametrize("option", ["--with", "--only", "--skip"])
@pytest.mark.parametrize("command", ["rewrite", "scan", "build", "view"])
def test_an_unknown_name_is_one_error(
    command: str, option: str, model: Path, capsys: Capture
) -> None:
    assert main([command, str(model), option, "FuseNorms"]) == 2
    assert "PK425 there is no rewrite 'FuseNorms'; expected one of: " in capsys.readouterr().err
    assert [one.name for one in model.parent.iterdir()] == ["llama.onnx"]


def test_to_name_its_folder_is_not_to_name_it(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "spelled"
    folder.mkdir()
    (folder / "spell_relu.py").write_text(REWRITE, encoding="utf-8")
    values = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:]
    )
    onnx.save(onnx.helper.make_model(graph, ir_version=10), tmp_path / "m.onnx")
    argv = ["rewrite", str(tmp_path / "m.onnx"), "--rewrites", str(folder), "--dry-run", "--json"]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["applied"] == []
    assert "SpellRelu" in report["opt_in"]
    assert main([*argv, "--with", "SpellRelu"]) == 0
    assert len(json.loads(capsys.readouterr().out)["applied"]) == 1


def test_list_and_show_say_that_it_is(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["rewrites"]
    assert set(ALL) <= {one["name"] for one in listed if one["opt_in"]}
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert f"{NAME} (opt-in)" in printed
    assert "An opt-in rewrite is applied where --with, or --only, names it." in printed
    assert main(["show", NAME]) == 0
    assert f"Opt-in: --with {NAME} applies it." in capsys.readouterr().out
    assert main(["show", "ReplaceScatterElements"]) == 0
    assert "Opt-in" not in capsys.readouterr().out
