"""``pluginkit compare model.onnx PLAN``: a real model, and Polygraphy's Comparator on stand-ins."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pluginkit.cli.main import main
from pluginkit.engine.plan import open_engine
from pluginkit.engine.plan.manifest import Tensor, manifest_path, read_manifest
from pluginkit.engine.proof.compare_plan import compare_values, with_default
from tests.cli.stand_in_engine import Machine, machine_in

pytestmark = pytest.mark.trt

Capture = pytest.CaptureFixture[str]
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
MODEL = """
    <ir_version: 10, opset_import: ["" : 18]> g (float[n, 4] x, int64[2] sizes) => (float[n, 4] y)
    <float three = {3.0}> { z = Mul(x, three) y = Sub(z, x) }
"""
MARKED = tuple(Tensor(name, "float32", (-1, 4)) for name in ("y", "z", "inside_tensorrt"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "model.onnx")
    return machine_in(tmp_path, monkeypatch)


def compare(machine: Machine, *options: str) -> int:
    return main(["compare", str(machine.plan.with_name("model.onnx")), str(machine.plan), *options])


def report_of(machine: Machine, capsys: Capture, code: int, *options: str) -> Any:
    assert compare(machine, "--json", *options) == code
    return json.loads(capsys.readouterr().out)


def change(machine: Machine, **changed: Any) -> None:
    """Change the plan's manifest."""
    manifest = dataclasses.replace(read_manifest(machine.plan), **changed)
    manifest_path(machine.plan).write_text(manifest.to_json(), encoding="utf-8")


def test_a_right_plan_agrees_in_the_optimum_of_its_profile(
    machine: Machine, capsys: Capture
) -> None:
    assert compare(machine) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "1 run with x 2x4, sizes 2" in lines
    assert "Equal within tolerance." in lines
    assert next(line for line in lines if line.startswith("Plan: tensorrt_rtx")).endswith("L4.")
    assert machine.engine.enqueues == 1


def test_a_wrong_plan_differs(machine: Machine, capsys: Capture) -> None:
    machine.engine.factors = {"y": 2.01}
    report = report_of(machine, capsys, 1)
    assert not report["ok"]
    assert report["plan"] == str(machine.plan)
    (output,) = report["outputs"]
    assert output["max_rel_error"] == pytest.approx(0.005, rel=1e-2)
    assert report_of(machine, capsys, 0, "--rtol", "float32:1e-2")["ok"]
    page = machine.plan.with_name("report.md")
    assert compare(machine, "--report", str(page)) == 1
    assert page.read_text().startswith("# model.onnx and model.plan\n\nDIFFERENT")


def test_every_shape_and_draw_is_compared_in_a_profile_that_it_fits(
    machine: Machine, capsys: Capture
) -> None:
    (profile,) = read_manifest(machine.plan).profiles
    narrow = dataclasses.replace(profile["x"], max=(2, 4))
    change(machine, profiles=({**profile, "x": narrow}, profile))
    report = report_of(machine, capsys, 0, "--shapes", "x:1x4,2x4,8x4", "--runs", "2")
    assert [case["inputs"]["x"] for case in report["cases"]] == [[1, 4], [2, 4], [8, 4]]
    assert (report["runs"], machine.engine.enqueues) == (6, 6)
    assert machine.engine.chosen == [1]  # profile 0 is active from the start


def test_marked_values_are_compared_too(machine: Machine, capsys: Capture) -> None:
    change(machine, outputs=MARKED)
    machine.engine.factors = {"y": 2.0, "z": 3.5, "inside_tensorrt": 1.0}
    assert compare(machine) == 0  # the output agrees
    printed = capsys.readouterr().out
    assert "First to differ: 'z', produced by Mul 'z'." in printed
    assert "Not compared: 1: the original has no such value." in printed
    machine.engine.factors["z"] = 3.0
    assert compare(machine) == 0
    assert "All 1 values inside that both models have agree." in capsys.readouterr().out


def test_outputs_from_elsewhere_take_the_place_of_the_model(
    machine: Machine, capsys: Capture, tmp_path: Path
) -> None:
    x = np.ones((3, 4), np.float32)
    golden = tmp_path / "golden.npz"
    np.savez(golden, x=x, sizes=[1, 2], y=5 * x)
    given = ("--inputs", str(golden), "--expected", str(golden))
    report = report_of(machine, capsys, 1, *given)
    assert report["outputs"][0]["max_abs_error"] == 3
    assert report["computed_by"][0] == "given outputs"
    np.savez(golden, x=x, sizes=[1, 2])
    assert compare(machine, *given) == 2
    assert "PK448 " in capsys.readouterr().err


def test_what_does_not_fit_is_said(
    machine: Machine, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*options: str) -> str:
        assert compare(machine, *options) == 2
        return capsys.readouterr().err

    for option in ("--taps", "--kernels", "--gpu"):
        assert "PK612 --taps, --kernels and --gpu are for comparing two models" in refused(option)
    np.savez(tmp_path / "some.npz", x=np.ones((2, 4), np.float32))
    assert "PK440 input 'sizes' is missing" in refused("--inputs", str(tmp_path / "some.npz"))
    wide = ("--shapes", "x:9x4")
    assert "PK542 input 'x' is 9x4; the plan takes 1x4 to 8x4" in refused(*wide)
    assert "PK456 rtol is -1.0" in refused("--rtol", "-1")
    assert "PK533" in refused("--tensorrt", "tensorrt_lean")
    change(machine, inputs=(Tensor("other", "float32", (1,)),), profiles=({},))
    assert "PK443 the plan's inputs are other; the model's are x, sizes" in refused()
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    assert "PK540 comparing" in refused()
    change(machine, tensorrt="1.0.0")
    assert "it was built with tensorrt_rtx 1.0.0; this is version" in refused()
    model = str(machine.plan.with_name("model.onnx"))
    assert main(["compare", model, model, "--commands", "a"]) == 2
    assert "are for comparing with a plan" in capsys.readouterr().err


def test_polygraphy_passes_what_the_commands_give_it(
    machine: Machine, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model takes the place of the plan, which needs a GPU; files and limits are the same."""
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    folder = tmp_path / "commands"
    lines = report_of(machine, capsys, 0, "--commands", str(folder))["commands"]
    assert (folder / "commands.sh").read_text().splitlines()[2:] == lines
    export, polygraphy, trtexec = lines
    assert export.startswith("pluginkit export ")
    words = polygraphy.split()
    assert words[:3] == ["POLYGRAPHY_USE_TENSORRT_RTX=1", "python", "-c"]
    assert words[-2:] == ["--plugins", f"{folder}/plugins/libmodel_plugins_static.so"]
    read = words[words.index("--load-inputs") : -2]
    model = str(tmp_path / "model.onnx")
    start = "from polygraphy.tools import main; raise SystemExit(main())"
    argv = [sys.executable, "-c", start, "run", model, "--onnxrt", *read]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 1/1 iterations" in done.stdout
    assert "--shapes=x:2x4,sizes:1x1 " in trtexec
    x = np.fromfile(folder / "input0.bin", np.float32)
    (feeds,) = json.loads((folder / "inputs.json").read_text())
    assert x.shape == (8,)
    assert set(feeds) == {"x", "sizes"}


@pytest.mark.slow
def test_polygraphy_loads_the_exported_plugins(tmp_path: Path, capsys: Capture) -> None:
    """Without a GPU its line ends where the plan is loaded, and the plugins are there."""
    model, plan, folder = EXAMPLES / "sage_dyn.onnx", tmp_path / "sage.plan", tmp_path / "proof"
    assert main(["build", str(model), "-o", str(plan), "--compute-capability", "8.9"]) == 0
    assert main(["compare", str(model), str(plan), "--commands", str(folder)]) == 0
    script = folder / "commands.sh"
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["/bin/sh", str(script)], capture_output=True, text=True, env=here)
    said = done.stdout + done.stderr
    assert "Loading plugin library" in said
    assert "PK209" not in said
    assert "Loading bytes from" in said


def test_narrower_types_have_their_own_tolerance() -> None:
    expected = np.full(4, 1, np.float32)
    half = compare_values("y", expected, np.full(4, 1.005, np.float16), *2 * [with_default(None)])
    assert half.ok
    assert half.max_abs_error == pytest.approx(0.005, rel=0.2)
    single = compare_values("y", expected, np.full(4, 1.005, np.float32), *2 * [with_default(None)])
    assert not single.ok
    assert compare_values("n", np.arange(3), np.arange(3, dtype=np.int32), None, None).ok
    shorts, wrapped = np.uint16([1, 2]), np.int32([1, 2 + 2**16])
    assert compare_values("s", shorts, shorts.astype(np.int32), None, None).ok
    assert not compare_values("s", shorts, wrapped, None, None).ok
