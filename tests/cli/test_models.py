"""The commands on models and plans: exit codes, no traceback, nothing half-written."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.cli.main import main
from pluginkit.device.gpus import Gpu
from pluginkit.engine.plan import open_engine
from pluginkit.errors import PluginkitError

pytestmark = pytest.mark.trt

Capture = pytest.CaptureFixture[str]

MODELS = Path(__file__).parents[2] / "examples" / "models"
RTX = ("--tensorrt", "tensorrt_rtx")


def tensor(name: str, shape: Sequence[str | int], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path: Path, nodes: list[onnx.NodeProto], **changed: Any) -> Path:
    parts = {"inputs": [tensor("x", ["n", 4])], "outputs": [tensor("y", ["n", 4])], **changed}
    graph = helper.make_graph(nodes, "graph", **parts)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    return save(tmp_path / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"], name="relu")])


@pytest.fixture
def plan(relu: Path, capsys: Capture) -> Path:
    assert main(["build", str(relu), "--compute-capability", "8.9", *RTX]) == 0
    capsys.readouterr()
    return relu.with_suffix(".plan")


def content(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_build_prints_its_choices_and_nothing_else(relu: Path, capfd: Capture) -> None:
    argv = ["build", str(relu), "--compute-capability", "8.6,sm_89", "--compute-capability", "120"]
    assert main([*argv, *RTX]) == 0
    captured = capfd.readouterr()  # TensorRT's C++ writes to the descriptors, not to sys.stderr
    assert "1x4" in captured.out
    assert "1024x4" in captured.out
    assert "default" in captured.out
    assert f"Wrote {relu.with_suffix('.plan')}" in captured.out
    assert "8.6, 8.9, 12.0" in captured.out
    assert captured.err == ""


SQUEEZED = """<ir_version: 10, opset_import: ["" : 18]>
g (float[N, 3] x) => (y) <int64 at = {0}, int64 one = {1}> {
    s = Shape(x)
    n = Gather(s, at)
    c = Equal(n, one)
    y = If (c) <
        then_branch = t () => (u) { axis = Constant<value_ints=[0]>() u = Squeeze(x, axis) },
        else_branch = e () => (v) { v = Relu(x) }
    >
}"""


@pytest.mark.parametrize("shapes", ["x:4x3", "x:2x3,4x3,9x3"])
def test_rewrite_knows_the_sizes_that_it_is_given(
    shapes: str, tmp_path: Path, capsys: Capture
) -> None:
    model, rewritten = str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")
    onnx.save(onnx.parser.parse_model(SQUEEZED), model)
    assert main(["rewrite", model, "-o", rewritten]) == 0
    assert "Nothing was rewritten" in capsys.readouterr().out
    assert main(["rewrite", model, "-o", rewritten, "--shapes", shapes]) == 0
    assert f"It is for {shapes} only" in capsys.readouterr().out
    assert "If" not in {node.op_type for node in onnx.load(rewritten).graph.node}
    assert main(["compare", model, rewritten]) == 0
    assert main(["compare", model, rewritten, "--shapes", shapes]) == 0
    page = str(tmp_path / "a.html")
    capsys.readouterr()
    assert main(["view", model, "-o", page, "--no-scan", "--shapes", shapes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["counts"]["rewritten"]


@pytest.mark.parametrize("command", ["rewrite", "scan", "build", "view"])
def test_shapes_are_checked_alike(relu: Path, command: str, capsys: Capture) -> None:
    for given, code in (
        ("x", "PK500"),
        ("z:1x4", "PK501"),
        ("x:1x5", "PK502"),
        ("x:2x4,1x4,1x4", "PK503"),
    ):
        assert main([command, str(relu), "--shapes", given]) == 2
        assert capsys.readouterr().err.startswith(code)


def test_build_prints_every_profile(relu: Path, capsys: Capture) -> None:
    assert main(["build", str(relu), "--shapes", "x:1x4/1x4,8x4,64x4", *RTX]) == 0
    printed = capsys.readouterr().out
    first, second = printed.index("Shapes, profile 0"), printed.index("Shapes, profile 1")
    assert "64x4" not in printed[first:second]
    assert "64x4" in printed[second:]


def test_build_reports_json(relu: Path, tmp_path: Path, capsys: Capture) -> None:
    plan = tmp_path / "other.plan"
    argv = ["build", str(relu), "-o", str(plan), "--shapes", "x:1x4,2x4,3x4", "--json", *RTX]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["plan"] == str(plan)
    assert report["manifest"]["profiles"][0]["x"]["opt"] == [2, 4]
    assert report["manifest"] == json.loads((tmp_path / "other.plan.json").read_text())


def test_verbose_prints_tensorrts_log_to_stderr(relu: Path, capsys: Capture) -> None:
    assert main(["build", str(relu), "-v", "--json", *RTX]) == 0
    captured = capsys.readouterr()
    assert "[V]" in captured.err
    json.loads(captured.out)


def test_rewrite_writes_the_model_that_build_then_takes(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "sage.onnx"
    assert main(["rewrite", str(MODELS / "sage_dyn.onnx"), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "5 rewritten" in printed
    assert f"Wrote {out}" in printed
    assert "ScatterElements" not in {node.op_type for node in onnx.load(out).graph.node}
    assert main(["build", str(out), "--compute-capability", "8.9", *RTX]) == 0
    assert (tmp_path / "sage.plan").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "sage.onnx"
    argv = ["rewrite", str(MODELS / "sage_dyn.onnx"), "-o", str(out), "--dry-run", "--explain"]
    assert main(argv) == 0
    assert "->" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["applied"]) == 5
    assert report["output"] is None
    assert content(tmp_path) == {}


def test_explain_says_why_a_pattern_does_not_fit(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "pair_rewrites"
    folder.mkdir()
    text = REWRITE.replace("from my_plugins.twice import Twice", "from pluginkit import Op")
    text = text.replace("plugin = Twice", "").replace('"Softsign"', 'Op("Softsign", Op("Abs"))')
    (folder / "pair.py").write_text(text, encoding="utf-8")
    argv = ["rewrite", str(save_softsign(tmp_path)), "--rewrites", str(folder), "--explain"]
    assert main([*argv, "--only", "ReplaceSoftsign"]) == 0
    printed = capsys.readouterr().out
    assert "ReplaceSoftsign: 1 that the pattern does not fit" in printed
    assert "'x' comes from no node of this graph; expected Abs" in " ".join(printed.split())
    assert main([*argv, "--only", "ReplaceSoftsign", "--json"]) == 0
    (mismatched,) = json.loads(capsys.readouterr().out)["mismatched"]
    assert mismatched["node"] == "softsign"


def test_rewrites_may_import_from_plugins_in_a_fresh_process(
    own: list[str], tmp_path: Path
) -> None:
    argv = ["rewrite", str(save_softsign(tmp_path)), *own]
    code = f"from pluginkit.cli.main import main; raise SystemExit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_skip_leaves_a_rewrite_out(tmp_path: Path, capsys: Capture) -> None:
    argv = ["rewrite", str(MODELS / "sage_dyn.onnx"), "-o", str(tmp_path / "out.onnx")]
    assert main([*argv, "--skip", "ReplaceScatterElements"]) == 0
    assert "Nothing was rewritten" in capsys.readouterr().out
    assert main([*argv, "--only", "Replace"]) == 2
    assert "ReplaceScatterElements" in capsys.readouterr().err
    assert content(tmp_path) == {}


PLUGIN = '''
from pluginkit import CudaKernel, Input, Launch, Output, Plugin, float32

class Twice(Plugin):
    """y = 2 x"""

    plugin_name = "TwiceOfTheCommandLine_PK"
    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel("__global__ void twice() {}\\n", "twice")

    def output_shapes(self, x):
        if x.shape[1] == 3:
            raise RuntimeError("threes are not taken")
        return x.shape

    def launches(self, x, y):
        return Launch(self.kernel, 1, 1, ())

    def reference(self, x):
        return x + x
'''

REWRITE = '''
from pluginkit.onnx.rewriting.rewrite import Rewrite
from my_plugins.twice import Twice

class ReplaceSoftsign(Rewrite):
    """Softsign(x) -> Twice(x), which is wrong"""

    plugin = Twice
    pattern = "Softsign"

    def rewrite(self, match):
        return match.plugin_node(Twice(), match.inputs)
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that name a user's own plugins and rewrites."""
    root = tmp_path_factory.mktemp("project")
    options = []
    for kind, text in (("plugins", PLUGIN), ("rewrites", REWRITE)):
        folder = root / f"my_{kind}"
        folder.mkdir()
        (folder / "twice.py").write_text(text, encoding="utf-8")
        options += [f"--{kind}", str(folder)]
    return options


def save_softsign(folder: Path, width: int = 4) -> Path:
    shape = ["n", width]
    return save(
        folder / "softsign.onnx",
        [helper.make_node("Softsign", ["x"], ["y"], name="softsign")],
        inputs=[tensor("x", shape)],
        outputs=[tensor("y", shape)],
    )


def test_a_users_own_plugin_and_rewrite(own: list[str], tmp_path: Path, capsys: Capture) -> None:
    model = save_softsign(tmp_path)
    assert main(["build", str(model), *own, *RTX]) == 0
    assert "ReplaceSoftsign" in capsys.readouterr().out
    # Whoever runs the plan has to name the plugin's folder too.
    said = run_fails(model.with_suffix(".plan"), save_inputs(tmp_path), capsys)
    assert "needs plugin TwiceOfTheCommandLine_PK" in said


def test_compare_finds_a_wrong_rewrite(own: list[str], tmp_path: Path, capsys: Capture) -> None:
    model = save_softsign(tmp_path)
    assert main(["rewrite", str(model), *own]) == 0
    rewritten = str(tmp_path / "softsign.plugins.onnx")
    capsys.readouterr()
    np.savez(tmp_path / "inputs.npz", x=np.full((2, 4), 1, np.float32))
    argv = ["compare", str(model), rewritten, *own[:2]]
    assert main([*argv, "--inputs", str(tmp_path / "inputs.npz"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["outputs"][0]["max_abs_error"] == 1.5  # 2 x is 2, x / (1 + |x|) is 0.5
    assert main([*argv, "--range", "x:-1,1", "--shapes", "x:3x4", "--runs", "2"]) == 1
    assert "out of tolerance" in capsys.readouterr().out
    assert main([*argv, "--range", "x:-1,1", "--atol", "9", "--rtol", "0"]) == 0
    assert main([*argv, "--range", "x:-1,1", "--atol", "float32:9", "--rtol", "int32:0"]) == 0


def test_compare_runs_a_whole_profile_and_taps_name_the_culprit(
    own: list[str], tmp_path: Path, capsys: Capture
) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Softsign", ["r"], ["s"], name="softsign"),
        helper.make_node("Neg", ["s"], ["y"], name="neg"),
    ]
    model = save(tmp_path / "model.onnx", nodes)
    assert main(["rewrite", str(model), *own]) == 0
    capsys.readouterr()
    report = tmp_path / "report.json"
    argv = ["compare", str(model), str(tmp_path / "model.plugins.onnx"), *own[:2], "--taps"]
    profile = ["--shapes", "x:1x4/2x4/3x?"]
    assert main([*argv, *profile, "--range", "x:1,2", "--report", str(report)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "First to differ: 's', produced by Softsign 'softsign', now Twice" in printed
    assert "What TwiceOfTheCommandLine_PK 'softsign' reads" in printed
    written = json.loads(report.read_text())
    assert [case["inputs"]["x"] for case in written["cases"]] == [[1, 4], [2, 4], [3, 4]]
    assert written["taps"]["first"]["value"]["name"] == "s"
    assert written["taps"]["first"]["inputs"]["r"]["mismatches"] == 0
    report = tmp_path / "report.md"
    assert main([*argv, "--range", "x:1,2", "--report", str(report), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["taps"]["first"]["rewritten_by"].startswith("Twice")
    assert "| s | float32 | 8x4 |" in report.read_text()


@pytest.mark.parametrize("path", ["nowhere/report.json", "report.txt", "folder.json"])
def test_a_report_that_cannot_be_written(
    path: str, relu: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "folder.json").mkdir()
    before = content(tmp_path)
    argv = ["compare", str(relu), str(relu), "--report", str(tmp_path / path)]
    assert main(argv) == 2
    assert "PK615" in capsys.readouterr().err
    assert content(tmp_path) == before


def test_an_exception_in_a_plugin_is_said_without_a_traceback(
    own: list[str], tmp_path: Path, capsys: Capture
) -> None:
    model = save_softsign(tmp_path, width=3)
    assert main(["build", str(model), *own, *RTX]) == 1
    captured = capsys.readouterr()
    assert "threes are not taken" in captured.err
    assert "Traceback" not in captured.err
    assert not model.with_suffix(".plan").exists()


@pytest.mark.parametrize("name", ["sage_dyn", "sage_ts"])
def test_a_real_model_compares_equal(name: str, tmp_path: Path, capsys: Capture) -> None:
    rewritten = str(tmp_path / "rewritten.onnx")
    assert main(["rewrite", str(MODELS / f"{name}.onnx"), "-o", rewritten]) == 0
    argv = ["compare", str(MODELS / f"{name}.onnx"), rewritten]
    assert main([*argv, "--shapes", "x:50x16", "--shapes", "edge_index:2x200", "--runs", "3"]) == 0
    assert "edge_index 2x200" in capsys.readouterr().out
    shapes = ["--shapes", "x:20x16", "--shapes", "edge_index:2x60"]
    assert main([*argv, *shapes, "--kernels"]) == 0
    assert "edge_index 2x60" in capsys.readouterr().out


def test_compare_runs_kernels_and_says_what_is_wrong_with_them(
    own: list[str], tmp_path: Path, capsys: Capture
) -> None:
    model = save_softsign(tmp_path)
    assert main(["rewrite", str(model), *own]) == 0
    capsys.readouterr()
    argv = ["compare", str(model), str(tmp_path / "softsign.plugins.onnx"), *own[:2]]
    assert main([*argv, "--range", "x:-1,1", "--shapes", "x:3x4", "--kernels"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "PK358 Twice: the PTX machine has 1 finding(s) about its kernels" in said
    assert "48 of 48 bytes of output 'y' were never written" in said
    assert "Where: node TwiceOfTheCommandLine_PK 'softsign'" in said


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--range", "x:1"], "PK612"),
        (["--range", "x:2,1"], "PK612"),
        (["--range", "1,2"], "PK612"),
        (["--shapes", "x:1x"], "PK500"),
        (["--shapes", "x:1x2,3x4"], "PK500"),
        (["--runs", "2", "--inputs", "INPUTS"], "PK612"),
        (["--shapes", "x:1x4,2x4,3x4", "--shapes", "y:1x4", "--shapes", "y:2x4"], "PK613"),
        (["--rtol", "float16"], "PK614"),
        (["--atol", "1", "--atol", "float16:2"], "PK614"),
        (["--rtol", "-1"], "PK456"),
        (["--rtol", "half:1"], "PK456"),
    ],
)
def test_bad_options_of_compare(
    options: list[str], code: str, relu: Path, tmp_path: Path, capsys: Capture
) -> None:
    inputs = save_inputs(tmp_path)
    options = [inputs if one == "INPUTS" else one for one in options]
    assert main(["compare", str(relu), str(relu), *options]) == 2
    assert code in capsys.readouterr().err


def cycle(path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["b"], ["y"], name="third"),
    ]
    save(path, nodes)


def missing_external_data(path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph", [tensor("x", ["n", 4])], [tensor("y", ["n", 4])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="w.data", size_threshold=0)
    (path.parent / "w.data").unlink()


def unknown_plugin(path: Path) -> None:
    node = helper.make_node("Nowhere_PK", ["x"], ["y"], domain="pluginkit", plugin_version="1")
    save(path, [node])


BAD_MODELS = {
    "text": lambda path: path.write_text("This is not a model.\n" * 50),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "cut short": lambda path: path.write_bytes((MODELS / "sage_ts.onnx").read_bytes()[:20_000]),
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    "cycle": cycle,
    "external data": missing_external_data,
    "unknown plugin": unknown_plugin,
}


@pytest.mark.parametrize("kind", BAD_MODELS)
@pytest.mark.parametrize("name", ["model.onnx", "[bold]a b[red]\n:x: ü.onnx"])
def test_a_bad_model_is_one_clear_error(
    kind: str, name: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / name
    BAD_MODELS[kind](path)
    before = content(tmp_path)
    assert main(["build", str(path), *RTX]) == 2
    captured = capsys.readouterr()
    assert "PK" in captured.err
    assert "Traceback" not in captured.err
    assert "bug" not in captured.err
    assert captured.out == ""
    assert content(tmp_path) == before


def test_a_hostile_file_name_builds_like_any_other(tmp_path: Path, capsys: Capture) -> None:
    name = "[bold]a b[red]\n:x: ü.onnx"
    path = save(tmp_path / name, [helper.make_node("Relu", ["x"], ["y"])])
    assert main(["build", str(path), "--compute-capability", "8.9", *RTX]) == 0
    assert r"[bold]a b[red]\n:x: ü.plan" in capsys.readouterr().out
    assert path.with_suffix(".plan").exists()


def test_a_file_name_that_is_no_utf8_is_read_beside_its_data(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xff.onnx")
    k = onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), "k")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "k"], ["y"])],
        "graph",
        [tensor("x", ["n", 4])],
        [tensor("y", ["n", 4])],
        [k],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="data", size_threshold=0)
    assert main(["scan", str(path), *RTX]) == 0
    assert main(["build", str(path), "--compute-capability", "8.9", *RTX]) == 0


def test_a_refused_node_is_1_and_named(tmp_path: Path, capfd: Capture) -> None:
    node = helper.make_node("Multinomial", ["x"], ["i"], name="where_[x]", dtype=7)
    outputs = [tensor("i", ["n", 1], TensorProto.INT64)]
    path = save(tmp_path / "model.onnx", [node], outputs=outputs)
    without = ["--skip", "ExpandMultinomial"]
    assert main(["build", str(path), "--compute-capability", "8.9", *without, *RTX]) == 1
    captured = capfd.readouterr()
    assert captured.err.startswith(
        "PK520 tensorrt_rtx's ONNX parser refuses Multinomial 'where_[x]'.\n"
    )
    assert captured.out == ""
    assert set(tmp_path.iterdir()) == {path}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--shapes", "x=1x4"], "PK500"),
        (["--shapes", "z:1x4"], "PK501"),
        (["--compute-capability", "9.0"], "PK512"),
        (["--compute-capability", "new"], "PK512"),
        (["--fp16"], "PK513"),
        (["--tensorrt", "tensorrt_xl"], "PK600"),
        (["--tensorrt", "tensorrt_lean"], "PK510"),
        (["--plugins", "no/such/folder"], "PK432"),
        (["-o", "no/such/folder/x.plan"], "PK525"),
    ],
)
def test_a_bad_option_is_2_and_says_why(
    options: list[str], code: str, relu: Path, capsys: Capture
) -> None:
    assert main(["build", str(relu), *RTX, *options]) == 2
    assert code in capsys.readouterr().err
    assert set(relu.parent.iterdir()) == {relu}


def save_inputs(folder: Path, shape: tuple[int, ...] = (2, 4)) -> str:
    path = folder / "inputs.npz"
    np.savez(path, x=np.zeros(shape, np.float32))
    return str(path)


def run_fails(plan: Path, inputs: str, capsys: Capture) -> str:
    """Run a plan that cannot run, check that the failure is clean, and return what it says."""
    assert main(["run", str(plan), "--inputs", inputs, "--output", f"{plan}.npz"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert not Path(f"{plan}.npz").exists()
    return captured.err


def test_run_without_a_gpu(plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    assert "PK540" in run_fails(plan, save_inputs(plan.parent), capsys)


@pytest.mark.parametrize(("name", "code"), [("y", "PK540"), ("z", "PK542")])
def test_run_leaves_out_what_its_file_has_of_the_outputs(
    name: str, code: str, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    path = plan.parent / "golden.npz"
    np.savez(path, **{"x": np.zeros((2, 4), np.float32), name: np.zeros((2, 4), np.float32)})
    assert code in run_fails(plan, str(path), capsys)


def test_run_on_another_gpu(plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(open_engine, "find_gpu", lambda: Gpu("NVIDIA H200", (9, 0), 2**37))
    said = run_fails(plan, save_inputs(plan.parent), capsys)
    assert "built for compute capability 8.9; the GPU here has 9.0" in said


def test_run_a_truncated_plan(plan: Path, capsys: Capture) -> None:
    plan.write_bytes(plan.read_bytes()[:-1])
    assert "truncated" in run_fails(plan, save_inputs(plan.parent), capsys)


def test_run_without_a_manifest(plan: Path, capsys: Capture) -> None:
    Path(f"{plan}.json").unlink()
    assert "PK531" in run_fails(plan, save_inputs(plan.parent), capsys)


def test_run_with_inputs_outside_the_profile(plan: Path, capsys: Capture) -> None:
    said = run_fails(plan, save_inputs(plan.parent, (1025, 4)), capsys)
    assert "'x' is 1025x4; the plan takes 1x4 to 1024x4" in said


@pytest.mark.parametrize("bad", [b"", b"no arrays", b"PK\x03\x04 cut short"])
def test_run_with_damaged_inputs(bad: bytes, plan: Path, capsys: Capture) -> None:
    path = plan.parent / "inputs.npz"
    path.write_bytes(bad)
    assert "PK610" in run_fails(plan, str(path), capsys)


def test_run_never_unpickles(plan: Path, capsys: Capture) -> None:
    path = plan.parent / "inputs.npz"
    np.savez(path, x=np.array([PluginkitError("PK000", "no.")], dtype=object))
    assert "PK610" in run_fails(plan, str(path), capsys)


def test_run_with_one_array_without_a_name(plan: Path, capsys: Capture) -> None:
    path = plan.parent / "inputs.npy"
    np.save(path, np.zeros(2))
    assert "PK610" in run_fails(plan, str(path), capsys)
