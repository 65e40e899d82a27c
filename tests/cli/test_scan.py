"""``pluginkit scan``: what it prints, and its exit codes."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.cli.main import main

pytestmark = pytest.mark.trt

Capture = pytest.CaptureFixture[str]

MODEL = Path(__file__).parents[2] / "examples" / "models" / "sage_dyn.onnx"
RTX = ("--tensorrt", "tensorrt_rtx")
SKIP = ("--skip", "ReplaceScatterElements")


def test_nothing_left_is_0(capfd: Capture) -> None:
    assert main(["scan", str(MODEL), *RTX]) == 0
    captured = capfd.readouterr()
    assert "ReplaceScatterElements -> " in captured.out
    assert "sage_dyn.onnx, 43 nodes, tensorrt_rtx" in captured.out
    assert captured.out.rstrip().endswith(
        "38 native, 5 rewritten. Nothing is left. "
        "Nothing was built: --build finds what parses and does not build."
    )
    assert captured.err == ""


def test_something_left_is_1_with_every_node_and_the_reason(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["scan", str(MODEL), *SKIP, *RTX]) == 1
    captured = capfd.readouterr()
    for name in ("node_ScatterElements_22", "node_scatter_reduce", "node_scatter_add"):
        assert name in captured.out
    assert "Unsupported reduction type" in captured.out
    assert "After the rewrites 5 left." in captured.out
    assert captured.err == ""


def test_all_lists_every_node(capfd: Capture) -> None:
    assert main(["scan", str(MODEL), "--all", *RTX]) == 0
    out = capfd.readouterr().out.replace("\n", "").replace(" ", "")
    for one in onnx.load(MODEL).graph.node:
        assert one.name in out


def test_json_has_every_node_and_what_is_left(capfd: Capture) -> None:
    assert main(["scan", str(MODEL), "--json", *SKIP, *RTX]) == 1
    report = json.loads(capfd.readouterr().out)
    model = onnx.load(MODEL)
    assert [one["op_type"] for one in report["nodes"]] == [one.op_type for one in model.graph.node]
    assert [one["position"] for one in report["nodes"]] == list(range(43))
    assert report["counts"]["native"] == 38
    assert {"op_type": "ScatterElements", "status": "refused", "nodes": 5} in report["ops"]
    assert [one["reason"] for one in report["left"]] == ["Unsupported reduction type"] * 5
    assert report["is_accepted"] is False
    assert report["is_built"] is None


def test_why_a_rewrite_left_a_node_is_told(tmp_path: Path, capfd: Capture) -> None:
    node = helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], name="s", reduction="add")
    double, index = TensorProto.DOUBLE, TensorProto.INT64
    types = {"x": ([8], double), "i": ([4], index), "u": ([4], double)}
    inputs = [
        helper.make_tensor_value_info(name, dtype, dims) for name, (dims, dtype) in types.items()
    ]
    outputs = [helper.make_tensor_value_info("y", double, [8])]
    opsets = [helper.make_opsetid("", 18)]
    graph = helper.make_graph([node], "graph", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "m.onnx")
    argv = ["scan", str(tmp_path / "m.onnx"), "--only", "ReplaceScatterElements", *RTX]
    assert main(argv) == 1
    assert "ReplaceScatterElements leaves it" in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--tensorrt", "tensorrt_lean"], "PK550"),
        (["--tensorrt", "tensorrt_xl"], "PK600"),
        (["--only", "Nothing", *RTX], "PK425"),
        (["--shapes", "x=1", *RTX], "PK500"),
        (["--plugins", "no/such/folder", *RTX], "PK432"),
    ],
)
def test_bad_options_are_2(options: list[str], code: str, capfd: Capture) -> None:
    assert main(["scan", str(MODEL), *options]) == 2
    captured = capfd.readouterr()
    assert code in captured.err
    assert captured.out == ""


def test_a_bad_model_is_2(tmp_path: Path, capfd: Capture) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x01\x12")
    assert main(["scan", str(path), "--json", *RTX]) == 2
    captured = capfd.readouterr()
    assert json.loads(captured.out)["error"]["code"].startswith("PK40")


def test_nothing_of_the_current_folder_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    for name in ("onnx", "polygraphy", "tensorrt_rtx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    assert main(["scan", str(MODEL), *RTX]) == 0
    assert "executed" not in capfd.readouterr().out
