"""pluginkit check: reports, scripts, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.cli.main import main

Capture = pytest.CaptureFixture[str]

PLUGIN = '''
import numpy as np
from pluginkit import Case, Copy, Input, Output, Plugin, float32


class Same(Plugin):
    """y = x"""

    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return Copy(y, x)

    def reference(self, x):
        return x{wrong}

    @classmethod
    def cases(cls):
        yield Case("one", [np.ones((2, 3), np.float32)])
'''


def folder_of(path: Path, wrong: str) -> str:
    folder = path / "my_plugins"
    folder.mkdir()
    (folder / "same.py").write_text(PLUGIN.replace("{wrong}", wrong))
    return str(folder)


@pytest.mark.usefixtures("no_modules_of_other_tests")
def test_a_sound_plugin_is_0_and_what_was_not_run_is_said(tmp_path: Path, capsys: Capture) -> None:
    checks = ["reference", "shape_function", "declaration"]
    folder = folder_of(tmp_path, "")
    assert main(["check", "same", "--plugins", folder, "--only", *checks]) == 0
    out = capsys.readouterr().out
    assert "passed   shape_function" in out
    assert "not run  declaration: onnx_op is not set" in out
    assert out.endswith("Same: 2 passed, 0 failed, 1 not run\n")


@pytest.mark.usefixtures("no_modules_of_other_tests")
def test_a_broken_plugin_is_1_and_its_script_reproduces_it(tmp_path: Path, capsys: Capture) -> None:
    folder, scripts = folder_of(tmp_path, "[:1]"), tmp_path / "scripts"
    argv = ["check", "Same", "--plugins", folder, "--only", "shape_function"]
    assert main([*argv, "--json", "--script", str(scripts)]) == 1
    captured = capsys.readouterr()
    (result,) = json.loads(captured.out)["results"]
    assert result["status"] == "failed"
    assert result["expected"]
    (script,) = scripts.iterdir()
    assert str(script) in captured.err
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 1, done.stderr
    assert "failed   shape_function" in done.stdout
    assert result["got"].splitlines()[0] in done.stdout


@pytest.mark.usefixtures("no_modules_of_other_tests")
def test_sanitize_runs_all_cases(tmp_path: Path, capsys: Capture) -> None:
    argv = ["check", "Same", "--plugins", folder_of(tmp_path, ""), "--only", "sanitizer"]
    assert main([*argv, "--sanitize"]) == 0
    out = capsys.readouterr().out
    assert "passed   sanitizer: 7 calls; in other orders 7 calls" in out


def test_list_explains_every_check(capsys: Capture) -> None:
    assert main(["check", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(all_checks())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["check"], "PK611 no plugin is named"),
        (["check", "CircPat"], "did you mean 'CircPad'"),
        (["check", "CircPad", "--only", "flying"], "PK221 there is no check 'flying'"),
    ],
)
def test_bad_input_is_2(argv: list[str], message: str, capsys: Capture) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err
