"""One plugin that is broken or unfinished does not stop a command that does not need it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pluginkit
from pluginkit.cli.main import main
from pluginkit.errors import UsageError
from pluginkit.plugins.scatter_elements import ScatterElements

pytestmark = pytest.mark.usefixtures("no_modules_of_other_tests")
Capture = pytest.CaptureFixture[str]

GOOD = """
import numpy as np
from pluginkit import Case, Input, Output, Plugin, float32

class Good(Plugin):
    x = Input(float32)
    y = Output(float32, like="x")
    def launches(self, x, y): return ()
    def reference(self, x): return x + 1
    @classmethod
    def cases(cls): yield Case("one", [np.ones(3, np.float32)])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "half_broken"
    folder.mkdir()
    (folder / "good.py").write_text(GOOD)
    (folder / "broken.py").write_text("import no_such_package_anywhere\n")
    return folder


def model(path: Path, op_type: str, domain: str = "") -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy"]
    node = helper.make_node(op_type, ["x"], ["y"], "n", domain=domain)
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_commands_that_do_not_need_a_broken_module_go_on(folder: Path, capsys: Capture) -> None:
    options = ["--plugins", str(folder)]
    relu, good = model(folder / "a.onnx", "Relu"), model(folder / "b.onnx", "Good_PK", "pluginkit")
    assert main(["list", "--json", *options]) == 0
    printed = capsys.readouterr()
    assert "Good" in [one["name"] for one in json.loads(printed.out)["plugins"]]
    assert "left out: PK430 module 'half_broken.broken' cannot be imported" in printed.err
    assert main(["check", "Good", "--only", "reference,shape_function", "--json", *options]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [one["check"] for one in results] == ["reference", "shape_function"]
    assert main(["rewrite", str(good), "--dry-run", *options]) == 0
    assert main(["new", "Fresh", "--dry-run", *options]) == 0
    np.savez(folder / "x.npz", x=np.array([1, 2, 3], np.float32))
    argv = ["compare", str(relu), str(good), "--inputs", str(folder / "x.npz"), *options, "--json"]
    capsys.readouterr()
    assert main(argv) == 1
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["max_abs_error"] == 1


def test_a_command_that_may_need_a_broken_module_says_why_it_fails(
    folder: Path, capsys: Capture
) -> None:
    assert main(["check", "Broken", "--plugins", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "PK611 there is no plugin 'Broken'" in error
    assert "Cause: PK430 module 'half_broken.broken' cannot be imported" in error


def test_a_comparison_on_a_gpu_that_is_not_there_says_so(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pluginkit.errors import MissingDependencyError
    from pluginkit.kernels import load

    def no_gpu() -> int:
        raise MissingDependencyError("PK311", "no GPU.")

    monkeypatch.setattr(load, "current_device", no_gpu)
    good = str(model(folder / "b.onnx", "Good_PK", "pluginkit"))
    assert main(["compare", good, good, "--gpu", "--plugins", str(folder)]) == 2
    assert "PK311 no GPU." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        (ScatterElements(axis=0, reduction="add"), "register(ScatterElements)"),
        ("ScatterElements", "register(MyPlugin)"),
        (None, "register(MyPlugin)"),
        (int, "register(MyPlugin)"),
        (pluginkit.Plugin, "register(MyPlugin)"),
        ([ScatterElements], "register(*classes)"),
    ],
)
def test_register_takes_classes_alone(given: object, fix: str) -> None:
    with pytest.raises(UsageError, match="PK603 register got") as caught:
        pluginkit.register(given)  # type: ignore[arg-type]
    assert fix in str(caught.value.fix)
