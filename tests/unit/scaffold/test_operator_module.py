import subprocess
import sys
from pathlib import Path

import pytest

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, bool_, float32, int32
from pluginkit.scaffold import fill_template
from pluginkit.scaffold.names import module_of, port_name
from pluginkit.scaffold.onnx_schema import operator_of
from pluginkit.scaffold.operator_module import dtypes_expression
from pluginkit.scaffold.project import ProjectFolders, scaffold, write_new_files


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("CircPad", "circ_pad"),
        ("AddRMSNorm", "add_rms_norm"),
        ("ScatterND", "scatter_nd"),
        ("TopK", "top_k"),
        ("Col2Im", "col2im"),
        ("Pad", "pad"),
    ],
)
def test_a_module_is_called_as_those_that_ship(name: str, module: str) -> None:
    assert module_of(name) == module


@pytest.mark.parametrize(
    ("name", "expected"),
    [("X", "x"), ("min", "min_"), ("lambda", "lambda_"), ("kernel", "kernel_"), ("a-b", "a_b"),
     ("y", "y_"), ("check", "check_")],
)  # fmt: skip
def test_a_port_is_called_like_nothing_else(name: str, expected: str) -> None:
    assert port_name(name, {"y"}) == expected


@pytest.mark.parametrize("operator", ["Elu", "BatchNormalization", "com.example::Swish"])
@pytest.mark.parametrize("kernel", ["cuda", "numba"])
def test_what_is_written_is_formatted_without_ruff_too(
    operator: str, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ruff")
    monkeypatch.setattr(fill_template, "_ruff", lambda: None)
    folders = ProjectFolders(tmp_path / "plugins", tmp_path / "rewrites", tmp_path / "tests")
    files = dict(scaffold("Mine", kernel, folders, operator).files)
    files |= scaffold("MyScale", kernel, folders).files
    files |= scaffold("MySelect", kernel, folders, is_data_dependent=True).files
    python = {path: text for path, text in files.items() if path.suffix == ".py"}
    assert len(python) >= 7
    write_new_files(python)
    options = ["--isolated", "--config", "line-length = 100", "--diff", tmp_path]
    done = subprocess.run([sys.executable, "-m", "ruff", "format", *options], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_what_is_written_follows_the_projects_format(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    (tmp_path / "ruff.toml").write_text("line-length = 40\n[format]\nquote-style = 'single'\n")
    made = fill_template.formatted(
        tmp_path / "x.py", 'x = ["a" * 20, "b" * 20, "c" * 20, "d" * 4]\n'
    )
    assert made == "x = [\n    'a' * 20,\n    'b' * 20,\n    'c' * 20,\n    'd' * 4,\n]\n"
    assert fill_template.formatted(tmp_path / "x.py", "x = [") == "x = ["
    assert fill_template.formatted(tmp_path / "x.cu", "x  = 1;") == "x  = 1;"


def test_no_ruff_of_the_current_folder_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ruff")
    (tmp_path / "ruff.py").write_text("open('executed', 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert fill_template.formatted(tmp_path / "x.py", "x  = 1") == "x = 1\n"
    assert not (tmp_path / "executed").exists()


def test_lists_of_types_go_by_their_names() -> None:
    assert dtypes_expression(OUTPUT_TYPES) == "OUTPUT_TYPES"
    assert dtypes_expression(FLOAT_TYPES) == "FLOAT_TYPES"
    assert dtypes_expression((*OUTPUT_TYPES, bool_)) == "(*OUTPUT_TYPES, bool_)"
    assert dtypes_expression((float32,)) == "(float32,)"
    assert dtypes_expression((int32, bool_)) == "(int32, bool_)"


def test_an_operator_says_since_when_it_has_been_alike() -> None:
    softmax = operator_of("Softmax")
    assert (softmax.since, softmax.alike_since) == (13, 13)
    elu = operator_of("ai.onnx::Elu")
    assert elu.alike_since == 6 < elu.since
    assert str(elu) == f"ONNX Elu-{elu.since}"
    assert str(operator_of("com.example::Swish")) == "com.example::Swish"
