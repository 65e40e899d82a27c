"""pluginkit new: what it writes works at once, or says what is left to write."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pluginkit
from pluginkit.cli.main import main
from pluginkit.discovery import find_plugins
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
from pluginkit.testing import plugincheck

ROOT = Path(pluginkit.__file__).parents[1]
#: Folders that are called as nothing else is where these tests run.
NAMED = ["--plugins", "my_plugins", "--rewrites", "my_rewrites"]
Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("no_modules_of_other_tests")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the files are what is asserted
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, env=environment
    )


def assert_tidy(folder: Path) -> None:
    """Check what was written with ruff: formatted as it formats a project without settings."""
    pytest.importorskip("ruff")
    found = run("ruff", "format", "--diff", str(folder))
    assert found.returncode == 0, found.stdout
    settings = ["--config", str(ROOT / "pyproject.toml"), "--quiet"]
    settings += ["--config", "lint.isort.known-first-party=[]"]
    found = run("ruff", "check", *settings, str(folder))
    assert found.returncode == 0, found.stdout


EXAMPLES = pytest.mark.parametrize(
    "example",
    [
        pytest.param([], id="scale"),
        pytest.param(["--data-dependent"], id="select", marks=pytest.mark.exhaustive),
    ],
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "example"),
    [
        pytest.param("cuda", ["--data-dependent"], id="cuda-select"),
        pytest.param("numba", [], id="numba-scale"),
        pytest.param("cuda", [], id="cuda-scale", marks=pytest.mark.exhaustive),
        pytest.param(
            "numba", ["--data-dependent"], id="numba-select", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_an_example_passes_its_checks_and_its_test(
    kernel: str, example: list[str], project: Path, capsys: Capture
) -> None:
    assert main(["new", "MyScale", "--kernel", kernel, *example]) == 0
    printed = capsys.readouterr().out
    kernel_file = {"cuda": "my_scale.cu", "numba": "kernel.py"}[kernel]
    written = [
        "plugins/my_scale/__init__.py",
        f"plugins/my_scale/{kernel_file}",
        "pyproject.toml",
        "tests/test_my_scale.py",
    ]
    assert files_in(project) == sorted(written)
    assert all(f"wrote {path}\n" in printed for path in written)
    assert "  pluginkit check MyScale\n  pytest tests/test_my_scale.py\n" in printed
    assert "Left to write" not in printed
    assert_tidy(project / "plugins")

    # The test that was written runs all checks.
    checked = run(
        "pluginkit", "check", "MyScale", "--json", "--only", "reference", "shape_function"
    )
    assert checked.returncode == 0, checked.stdout
    results = {one["check"]: one["status"] for one in json.loads(checked.stdout)["results"]}
    assert results == {"reference": "passed", "shape_function": "passed"}

    tested = run("pytest", "-q", "-rA", "-p", "no:cacheprovider", "tests")
    assert tested.returncode == 0, tested.stdout
    for check in ("reference", "shape_function", "compile", "sanitizer", "kernel_types"):
        assert f"PASSED tests/test_my_scale.py::TestMyScale::test_plugin[{check}]" in tested.stdout


@pytest.mark.slow
@EXAMPLES
def test_an_example_that_is_broken_fails_its_test(example: list[str], project: Path) -> None:
    assert main(["new", "MyScale", *example]) == 0
    module = project / "plugins/my_scale/__init__.py"
    text = module.read_text()
    broken = ("> np.float32(", ">= np.float32(") if example else ("np.float32(self", "(0 * self")
    assert broken[0] in text
    module.write_text(text.replace(*broken))
    tested = run("pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "test_the_numbers")
    assert tested.returncode == 1
    assert "FAILED tests/test_my_scale.py::test_the_numbers" in tested.stdout


@pytest.mark.slow
def test_the_kernels_of_an_example_are_compared_with_its_reference(project: Path) -> None:
    assert main(["new", "MySelect", "--kernel", "numba", "--data-dependent"]) == 0
    kernel = project / "plugins/my_select/kernel.py"
    text = kernel.read_text()
    assert "place += kept[other]" in text
    kernel.write_text(text.replace("place += kept[other]", "place += 1"))
    checked = run("pluginkit", "check", "MySelect", "--only", "kernel_types", "--json")
    assert checked.returncode == 1, checked.stdout
    (result,) = json.loads(checked.stdout)["results"]
    assert (result["check"], result["status"]) == ("kernel_types", "failed")


@pytest.mark.parametrize("kernel", ["cuda", "numba"])
def test_a_size_is_added_to_an_operators_declaration(kernel: str, project: Path) -> None:
    options = ["--data-dependent", "--kernel", kernel, *NAMED]
    assert main(["new", "MyUnique", "--onnx-op", "Unique", *options]) == 0
    assert_tidy(project / "my_plugins")
    cls = find_plugins(["my_plugins"])["MyUnique_PK", "1", "pluginkit"]
    (result,) = plugincheck(cls, only=["declaration"]).results
    assert result.status == "passed", result
    *outputs, size = cls.spec.outputs
    assert not any(port.is_size for port in outputs)
    assert (size.name, size.is_size) == ("count", True)
    with pytest.raises(NotImplementedError, match=r"one with self\.count\.up_to\(most\)"):
        cls().output_shapes(None)
    (kernel_file,) = set((project / "my_plugins/my_unique").iterdir()) - {
        project / "my_plugins/my_unique/__init__.py"
    }
    assert "count" in kernel_file.read_text()


#: Operators, and what their declarations have.
OPERATORS = {
    "Elu": {"inputs": ["x"], "likes": ["x"], "attributes": {"alpha": 1.0}},
    "ScatterElements": {
        "inputs": ["data", "indices", "updates"],
        "likes": ["data"],
        "attributes": {"axis": 0, "reduction": "none"},
    },
    "Clip": {"inputs": ["input_", "min_", "max_"], "likes": ["input_"], "attributes": {}},
    "BatchNormalization": {
        "inputs": ["x", "scale", "b", "input_mean", "input_var"],
        "likes": ["", "", ""],
        "attributes": {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0},
    },
    "ConstantOfShape": {"inputs": ["input_"], "likes": [""], "attributes": {"value": None}},
    "Gemm": {
        "inputs": ["a", "b", "c"],
        "likes": [""],
        "attributes": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    },
    "Resize": {"inputs": ["x", "roi", "scales", "sizes"], "likes": [""], "attributes": {}},
    "GatherElements": {
        "inputs": ["data", "indices"],
        "likes": ["indices"],
        "attributes": {"axis": 0},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["cuda", "numba"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operators_declaration_is_that_of_its_schema(
    operator: str, kernel: str, project: Path, capsys: Capture
) -> None:
    name, expected = f"My{operator}", OPERATORS[operator]
    assert main(["new", name, "--onnx-op", operator, "--kernel", kernel, *NAMED]) == 0
    printed = capsys.readouterr().out
    assert "  launches: write the kernel and return its Launch\n" in printed
    assert_tidy(project / "my_plugins")
    assert_tidy(project / "my_rewrites")
    cls = find_plugins(["my_plugins"])[f"{name}_PK", "1", "pluginkit"]
    (result,) = plugincheck(cls, only=["declaration"]).results
    assert result.status == "passed", result
    assert [port.name for port in cls.spec.inputs] == expected["inputs"]
    assert [port.like for port in cls.spec.outputs] == expected["likes"]
    defaults = {one.name: one.default for one in cls.spec.attributes}
    assert expected["attributes"].items() <= defaults.items()
    (rewrite,) = (one for one in find_rewrites(["my_rewrites"]) if one.plugin is cls)
    assert rewrite.op.op_types == (operator,)


@pytest.mark.slow
def test_what_is_left_to_write_raises_and_fails_its_check(project: Path) -> None:
    assert main(["new", "MyElu", "--onnx-op", "Elu"]) == 0
    checked = run("pluginkit", "check", "MyElu")
    assert checked.returncode == 1
    assert "NotImplementedError: MyElu.cases: yield Case" in checked.stdout
    (project / "cases.py").write_text(
        "from pluginkit.discovery import find_plugins\n"
        "plugin = find_plugins()['MyElu_PK', '1', 'pluginkit']()\n"
        "for method, count in (('launches', 2), ('reference', 1)):\n"
        "    try:\n"
        "        getattr(plugin, method)(*[None] * count)\n"
        "    except NotImplementedError as error:\n"
        "        print(error)\n"
    )
    done = run("cases")
    assert done.stdout.splitlines() == [
        "MyElu.launches: write the kernel and return its Launch",
        "MyElu.reference: compute the outputs with numpy",
    ]
    assert (
        '#error "write the kernel of MyElu"' in (project / "plugins/my_elu/my_elu.cu").read_text()
    )


def rewritten(
    node: onnx.NodeProto,
    inputs: list[onnx.ValueInfoProto],
    opset: int,
    shape: Sequence[int | str] = ("n", 4),
) -> tuple[RewriteResult, Plugins]:
    (output,) = node.output
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph([node], "one", inputs, outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    plugins = find_plugins(["my_plugins"])
    return pluginkit.rewrite_model(
        helper.make_model(graph, opset_imports=opsets, ir_version=10),
        plugins=plugins,
        rewrites=[one for one in find_rewrites(["my_rewrites"]) if "Mine" in one.__name__],
    ), plugins


def written_out(text: str, method: str, body: str) -> str:
    """Put the body of a method where it is left to the author."""
    text, count = re.subn(rf'raise NotImplementedError\(\s*"{method}: [^"]+"\s*\)', body, text)
    assert count == 1
    return text


def float_input(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])


def test_a_rewrite_passes_attributes_and_absent_inputs_on(project: Path) -> None:
    assert main(["new", "MineClip", "--onnx-op", "Clip", *NAMED]) == 0
    assert main(["new", "MineLrn", "--onnx-op", "LRN", *NAMED]) == 0
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    high = helper.make_tensor_value_info("high", TensorProto.FLOAT, [])
    result, plugins = rewritten(node, [float_input("x"), high], 18)
    (made,) = result.model.graph.node
    plugin = plugin_of_node(made, plugins)
    assert (made.op_type, list(made.input)) == ("MineClip_PK", ["x", "high"])
    assert plugin.present == (True, False, True)

    node = helper.make_node("LRN", ["x"], ["y"], size=3, beta=0.5)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 3, 4])
    (made,) = rewritten(node, [x], 18, (1, 2, 3, 4))[0].model.graph.node
    values = plugin_of_node(made, plugins).attribute_values
    assert values == {"alpha": 1e-4, "beta": 0.5, "bias": 1.0, "size": 3}


def test_a_rewrite_passes_a_tensor_and_text_on(project: Path) -> None:
    assert main(["new", "MineFilled", "--onnx-op", "ConstantOfShape", *NAMED]) == 0
    value = onnx.numpy_helper.from_array(np.array([2.5], np.float32))
    module = project / "my_plugins/mine_filled/__init__.py"
    text = module.read_text()  # the output's dtype and shape are left to its author
    text = written_out(text, "MineFilled.output_types", "return [FLOAT_TYPES[0]]")
    text = written_out(text, "MineFilled.output_shapes", "return (1,)")
    module.write_text(text.replace("import (\n", "import (\n    FLOAT_TYPES,\n", 1))
    node = helper.make_node("ConstantOfShape", ["shape"], ["y"], value=value)
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [1])
    result, plugins = rewritten(node, [shape], 23, ("k",))
    plugin = plugin_of_node(result.model.graph.node[0], plugins)
    np.testing.assert_array_equal(plugin.value, np.array([2.5], np.float32))

    assert main(["new", "MineScatter", "--onnx-op", "ScatterElements", *NAMED]) == 0
    node = helper.make_node("ScatterElements", ["x", "at", "x"], ["y"], reduction="add")
    at = helper.make_tensor_value_info("at", TensorProto.INT64, ["n", 4])
    result, plugins = rewritten(node, [float_input("x"), at], 18)
    plugin = plugin_of_node(result.model.graph.node[0], plugins)
    assert plugin.attribute_values == {"axis": 0, "reduction": "add"}


def test_a_rewrite_leaves_versions_with_other_attributes_alone(project: Path) -> None:
    assert main(["new", "MineSoftmax", "--onnx-op", "Softmax", *NAMED]) == 0
    node = helper.make_node("Softmax", ["x"], ["y"])
    for opset, op_type in ((11, "Softmax"), (13, "MineSoftmax_PK"), (21, "MineSoftmax_PK")):
        result, _ = rewritten(node, [float_input("x")], opset)
        assert [one.op_type for one in result.model.graph.node] == [op_type]
        if opset == 11:
            (refused,) = result.refused
            assert "its opset is 11, before version 13 of the operator" in refused.reason


def test_an_operator_of_another_domain_is_taken_to_have_an_input_and_an_output(
    project: Path,
) -> None:
    assert main(["new", "MineSwish", "--onnx-op", "com.example::Swish", *NAMED]) == 0
    assert_tidy(project / "my_plugins")
    assert_tidy(project / "my_rewrites")
    module = project / "my_plugins/mine_swish/__init__.py"
    text = written_out(module.read_text(), "MineSwish.output_shapes", "return x.shape")
    module.write_text(text)
    node = helper.make_node("Swish", ["x"], ["y"], domain="com.example")
    result, _ = rewritten(node, [float_input("x")], 18)
    assert [one.op_type for one in result.model.graph.node] == ["MineSwish_PK"]

    node = helper.make_node("Swish", ["x"], ["y"], domain="com.example", beta=2.0, gamma=1)
    result, _ = rewritten(node, [float_input("x")], 18)
    (refused,) = result.refused
    assert refused.reason == "MineSwish has no attribute beta, gamma"


@pytest.mark.parametrize(
    ("given", "expected"), [({"alpha": 3.0}, 3.0), ({}, 1.0), ({"alpha": 3.0, "beta": 2}, None)]
)
def test_an_attribute_that_the_author_declares_is_taken_and_no_other_is_lost(
    given: dict[str, float], expected: float | None, project: Path
) -> None:
    assert main(["new", "Mine", "--onnx-op", "com.example::Foo", *NAMED]) == 0
    module = project / "my_plugins/mine/__init__.py"
    text = module.read_text().replace("    FLOAT_TYPES,\n", "    FLOAT_TYPES, attribute,\n")
    text = text.replace(
        '    x = Input("T")', '    alpha: float = attribute(default=1.0)\n    x = Input("T")'
    )
    module.write_text(written_out(text, "Mine.output_shapes", "return x.shape"))
    node = helper.make_node("Foo", ["x"], ["y"], "n", domain="com.example", **given)
    result, plugins = rewritten(node, [float_input("x")], 18)
    (made,) = result.model.graph.node
    if expected is None:
        assert made == node
        assert result.refused[0].reason == "Mine has no attribute beta"
    else:
        assert made.op_type == "Mine_PK"
        assert plugin_of_node(made, plugins).alpha == expected


REFUSED = {
    "scale": "PK640 'scale' is no name .*did you mean 'Scale'",
    "my-scale": "PK640 .*did you mean 'MyScale'",
    "My_Scale_PK": "PK640 .*did you mean 'MyScale'",
    "größe": "PK640 'größe' is no name .*did you mean 'Gr",
    "élu": "PK640 'élu' is no name .*did you mean 'Elu'",
    "2Pad": "PK640 .*begin with a capital letter",
    "": "PK640 .*begin with a capital letter",
    "Plugin": "PK640 'Plugin' means something else",
    "ValueError": "PK640 'ValueError' means something else",
    "Class": "PK640 'Class' means something else",
    "CircPad": "PK641 there is a plugin CircPad already, CircPad_PK",
    "X --onnx-op Elo": "PK643 .*knows no operator 'Elo'.*did you mean 'Elu'",
    "X --onnx-op a::b::c": "PK643 'a::b::c' is no operator",
    "X --onnx-op Concat": "PK643 no plugin can be Concat: it has any number of 'inputs'",
    "X --onnx-op Split": "PK643 no plugin can be Split: it has any number of 'outputs'",
    "X --onnx-op If": "PK643 .*'else_branch' is GRAPH",
    "X --onnx-op RandomNormal": "PK643 .*it has no input",
    "X --onnx-op Equal": "PK643 .*'C' is none of float32",
    "X --onnx-op Upsample": "PK643 .*it is deprecated",
    "X --onnx-op Elu --data-dependent": "PK643 the outputs of Elu have the shapes of inputs",
    "X --onnx-op Elu --plugins a-b": "PK642 a rewrite cannot import from the folder 'a-b'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    line: str, project: Path, capsys: Capture
) -> None:
    name, *options = line.split(" ")
    assert main(["new", name, *options]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert re.search(REFUSED[line], error), error
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    "there", ["plugins/my_elu/notes.txt", "plugins/my_elu.py", "tests/test_my_elu.py",
              "graph_rewrites/my_elu.py"],
)  # fmt: skip
def test_a_file_that_is_there_is_kept_and_nothing_is_written(
    there: str, project: Path, capsys: Capture
) -> None:
    (project / there).parent.mkdir(parents=True)
    (project / there).write_text("")
    assert main(["new", "MyElu", "--onnx-op", "Elu"]) == 2
    assert "PK642" in capsys.readouterr().err
    assert files_in(project) == [there]
    folders = [path for path in project.rglob("*") if path.is_dir()]
    assert folders == [*reversed(list((project / there).parents))][len(project.parents) + 1 :]


def test_a_plugin_is_begun_once(project: Path, capsys: Capture) -> None:
    assert main(["new", "MyScale"]) == 0
    before = files_in(project)
    assert main(["new", "MyScale"]) == 2
    assert "PK641 there is a plugin MyScale already" in capsys.readouterr().err
    assert main(["new", "MySCALE"]) == 2
    assert "PK642 'plugins/my_scale' is there already" in capsys.readouterr().err
    assert files_in(project) == before


@pytest.mark.parametrize("kernel", ["cuda", "numba"])
@EXAMPLES
def test_no_plugin_is_called_like_what_its_module_imports(
    example: list[str], kernel: str, project: Path
) -> None:
    assert main(["new", "Mine", "--kernel", kernel, *example]) == 0
    files = [project / "plugins/mine/__init__.py", project / "tests/test_mine.py"]
    imported = {
        alias.asname or alias.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    capitalised = {name for name in imported if re.fullmatch("[A-Z][A-Za-z0-9]*", name)}
    assert {"Plugin", "Iterable", "Path"} < capitalised
    for name in capitalised:
        assert main(["new", name, *example]) == 2, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Float", "Exp", "Cuda", "Np"])
@EXAMPLES
def test_a_kernel_is_called_like_nothing_else(name: str, example: list[str], project: Path) -> None:
    for kernel in ("cuda", "numba"):
        options = ["--plugins", kernel, "--tests", f"{kernel}_tests", "--kernel", kernel, *example]
        assert main(["new", name, *options]) == 0
        cls = find_plugins([kernel])[f"{name}_PK", "1", "pluginkit"]
        (result,) = plugincheck(cls, only=["compile"]).results
        assert result.status == "passed", result
        for path in (project / kernel).rglob("*.py"):
            path.unlink()


def test_a_folder_that_cannot_be_made_leaves_nothing_behind(project: Path, capsys: Capture) -> None:
    (project / "tests").write_text("a file")
    assert main(["new", "MyScale"]) == 2
    assert "PK642 " in capsys.readouterr().err
    assert files_in(project) == ["tests"]
    assert not (project / "plugins").exists()


def test_a_dry_run_writes_nothing(project: Path, capsys: Capture) -> None:
    assert main(["new", "MyElu", "--onnx-op", "Elu", "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(project.iterdir()) == []
    assert main(["new", "MyElu", "--onnx-op", "Elu"]) == 0
    assert sorted(report["files"]) == files_in(project)
    assert [task.partition(":")[0] for task in report["tasks"]] == [
        "launches",
        "reference",
        "cases",
    ]
    assert "would write" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_folders_that_pyproject_names_are_used(project: Path, capsys: Capture) -> None:
    table = '[tool.pluginkit]\nplugins = ["src/ops"]\nrewrites = ["src/passes"]\n'
    (project / "pyproject.toml").write_text(table)
    assert main(["new", "MyElu", "--onnx-op", "Elu", "--tests", "src/tests/unit"]) == 0
    assert (project / "pyproject.toml").read_text() == table
    assert "--plugins" not in capsys.readouterr().out
    assert [path for path in files_in(project) if "my_elu" in path] == [
        "src/ops/my_elu/__init__.py",
        "src/ops/my_elu/my_elu.cu",
        "src/passes/my_elu.py",
        "src/tests/unit/test_my_elu.py",
    ]
    test = (project / "src/tests/unit/test_my_elu.py").read_text()
    assert 'find_plugins([Path(__file__).parents[2] / "ops"])' in test
    collected = run("pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "src/tests")
    assert "TestMyElu::test_plugin[declaration]" in collected.stdout, collected.stdout


def test_a_pyproject_without_folders_is_left_alone_and_that_is_said(
    project: Path, capsys: Capture
) -> None:
    (project / "pyproject.toml").write_text("[project]\n")
    assert main(["new", "MyScale"]) == 0
    printed = capsys.readouterr().out
    assert "  pluginkit check MyScale --plugins plugins\n" in printed
    assert 'let pyproject.toml name them, under [tool.pluginkit]: plugins = ["plugins"]' in printed
    assert (project / "pyproject.toml").read_text() == "[project]\n"
