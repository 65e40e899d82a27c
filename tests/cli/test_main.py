"""The command line: what it prints where, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import pluginkit
from pluginkit.cli import main as cli
from pluginkit.cli.commands import show
from pluginkit.cli.main import COMMANDS, main
from pluginkit.errors import BuildError, ParseError, PlanError, UsageError

Capture = pytest.CaptureFixture[str]


def run(*argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process."""
    root = str(Path(pluginkit.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pluginkit", *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from pluginkit.cli.main import main; main(['--help']);"
        "heavy = {'numpy', 'onnx', 'rich', 'polygraphy', 'tensorrt_rtx', 'cupy', 'numba'};"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    root = str(Path(pluginkit.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout.endswith("imported []\n")
    assert len(COMMANDS) >= 7
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_fits_the_terminal(
    command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert command in lines[0]
    assert [line for line in lines if len(line) > 80 or line.endswith("-")] == []


def test_the_version_is_the_packages(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pluginkit {pluginkit.__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["build"],
        ["build", "m.onnx", "--memory", "lots"],
        ["build", "m.onnx", "--memory", "0"],
        ["build", "m.onnx", "--interface", "v4"],
        ["run", "m.plan"],
        ["run", "m.plan", "--inputs", "x.npz", "--iterations", "0"],
    ],
)
def test_bad_usage_is_2(argv: list[str], capsys: Capture) -> None:
    assert main(argv) == 2
    assert "usage: pluginkit" in capsys.readouterr().err


def test_without_a_command_all_are_listed(capsys: Capture) -> None:
    assert main([]) == 2
    listed = capsys.readouterr().err
    assert all(f"    {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("PK500", "no."), 2),
        (PlanError("PK530", "no."), 2),
        (ParseError("PK520", "no."), 1),
        (BuildError("PK521", "no."), 1),
    ],
)
def test_an_errors_kind_decides_the_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fails_with(monkeypatch, error)
    assert main(["show", "x"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"{error}\n"
    assert captured.out == ""


def test_with_json_an_error_is_also_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fails_with(monkeypatch, UsageError("PK500", "no.", fix="do."))
    assert main(["show", "x", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "error": {"code": "PK500", "message": "no.", "where": None, "cause": None, "fix": "do."}
    }
    assert "PK500 no." in captured.err


def test_an_unexpected_exception_is_called_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fails_with(monkeypatch, KeyError("oops"))
    assert main(["show", "x"]) == 1
    captured = capsys.readouterr().err
    assert "bug" in captured
    assert "KeyError: 'oops'" in captured
    assert "Traceback" not in captured
    assert main(["show", "x", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fails_with(monkeypatch, ModuleNotFoundError("No module named 'rich'", name="rich"))
    assert main(["show", "x"]) == 2
    assert "PK620 Python package 'rich' is not installed" in capsys.readouterr().err


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())
    assert main(["show", "x"]) == 130
    assert capsys.readouterr().err == "pluginkit: cancelled.\n"


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(args: Any) -> int:
        raise error

    monkeypatch.setattr(show, "run", fail)


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(capsys: Capture) -> None:
    assert main(["build", "\x1b[31mred\n.onnx"]) == 2
    captured = capsys.readouterr().err
    assert "\x1b" not in captured
    assert r"\x1b[31mred" in captured


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_closed_pipe_is_no_traceback(options: list[str]) -> None:
    root = str(Path(pluginkit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "pluginkit", "list", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_every_command_module_is_listed() -> None:
    commands = Path(cli.__file__).parent / "commands"
    modules = {path.stem for path in commands.glob("*.py")}
    assert modules - {"__init__"} == set(COMMANDS)


@pytest.mark.slow
def test_doctor_runs_as_a_process_and_reports_json(tmp_path: Path) -> None:
    done = run("doctor", "--json", cwd=tmp_path)
    findings = json.loads(done.stdout)
    subjects = {one["subject"]: one for one in findings}
    assert {"numpy", "onnx", "polygraphy", "plugins"} <= set(subjects)
    assert "became a plan" in subjects["sample build"]["text"]
    assert subjects["onnx"]["state"] == "ok"
    problems = [one for one in findings if one["state"] == "problem"]
    assert done.returncode == (1 if problems else 0)
    assert all(one["fix"] for one in problems)
    assert done.stderr == ""


@pytest.mark.slow
def test_list_and_show_know_the_shipped_plugin_and_rewrite(capsys: Capture) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "ScatterElements_PK" in {one["plugin"] for one in listed["plugins"]}
    assert listed["rewrites"]
    assert main(["show", "scatterelements", "--json"]) == 0
    (plugin,) = json.loads(capsys.readouterr().out)["plugins"]
    assert [one["name"] for one in plugin["inputs"]] == ["data", "indices", "updates"]
    assert [one["name"] for one in plugin["attributes"]] == ["axis", "reduction", "deterministic"]
    for rewrite in listed["rewrites"][::40]:  # tests/graph_rewrites reads what all say
        assert main(["show", rewrite["name"]]) == 0
        assert "->" in capsys.readouterr().out


def test_show_prints_a_plugins_declaration(capsys: Capture) -> None:
    assert main(["show", "ScatterElements_PK"]) == 0
    out = capsys.readouterr().out
    for text in ("Attributes", "reduction", "Inputs", "indices", "Outputs", "Kernels"):
        assert text in out


def test_show_suggests_the_nearest_name(capsys: Capture) -> None:
    assert main(["show", "ScaterElements"]) == 2
    assert "did you mean 'ScatterElements'?" in capsys.readouterr().err


def test_control_characters_in_arguments_do_not_reach_the_terminal(capsys: Capture) -> None:
    assert main(["list", "\x1b[31mred", "a\rb"]) == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.err + printed.out
    assert "\r" not in printed.err
    assert "\\x1b[31mred" in printed.err


@pytest.mark.parametrize("moment", ["_parser", "list.run"])
def test_ctrl_c_is_130_at_any_moment(
    moment: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    module = "pluginkit.cli.main" if moment == "_parser" else "pluginkit.cli.commands"
    monkeypatch.setattr(f"{module}.{moment}", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "pluginkit: cancelled.\n"


def test_too_little_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr("pluginkit.cli.commands.list.run", fail)
    assert main(["list"]) == 1
    assert capsys.readouterr().err == "pluginkit: out of memory. Unable to allocate 1 TiB\n"


@pytest.mark.parametrize("argv", [["view"], ["rewrite"], ["refit", "--weights", "m.onnx"]])
def test_the_current_folder_is_no_file(argv: list[str], capsys: Capture) -> None:
    assert main([*argv, "."]) == 2
    assert capsys.readouterr().err.startswith(("PK400 model '.' is a", "PK530 . cannot be read"))


@pytest.mark.parametrize(
    "argv",
    [
        ["compare", "{0}", "{0}"],
        ["view", "m.onnx", "-o", "{0}"],
        ["new", "Halve", "--tests", "{0}"],
    ],
)
def test_a_name_that_is_too_long_is_no_bug(
    argv: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([word.format("n" * 300) for word in argv]) in (1, 2)
    printed = capsys.readouterr().err
    assert "File name too long" in printed
    assert "bug" not in printed
    assert not any(tmp_path.iterdir())


def test_a_long_report_is_cut_short_and_says_so(capsys: Capture) -> None:
    from pluginkit.cli.commands.rewrite import print_report
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite

    applied = [
        AppliedRewrite("ReplaceX", "main graph", f"node_{i}", f"y_{i}", ("X_PK",))
        for i in range(150)
    ]
    applied.append(AppliedRewrite("DropY", "main graph", "node", "y", ()))
    result = RewriteResult(onnx.ModelProto(), applied, [], [], [], {})
    print_report(result)
    printed = capsys.readouterr().out
    assert "ReplaceX: 150 rewritten to X_PK" in printed
    assert "DropY: 1 rewritten to nothing" in printed
    assert "node_9 " in printed
    assert "node_10 " not in printed
    assert "and 140 more" in printed
    print_report(result, lists_all=True)
    assert "node_149 " in capsys.readouterr().out


def test_nodes_that_are_left_for_one_reason_are_one_line(capsys: Capture) -> None:
    from pluginkit.cli.commands.rewrite import print_report
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.onnx.rewriting.rewrite_outcomes import RefusedRewrite

    reasons = ["TensorRT takes it", "it has no type", "TensorRT takes it"]
    refused = [
        RefusedRewrite("ReplaceX", "main graph", f"node_{i}", f"y_{i}", reason)
        for i, reason in enumerate(reasons)
    ]
    result = RewriteResult(onnx.ModelProto(), [], refused, [], [], {})
    print_report(result)
    printed = capsys.readouterr().out
    assert "ReplaceX: 3 left as they are" in printed
    assert "node_0 and 1 more" in printed
    assert "node_1 " in printed
    assert "node_2 " not in printed
    print_report(result, lists_all=True)
    assert "node_2 " in capsys.readouterr().out
    print_report(result, lists_left=False)
    assert capsys.readouterr().out == "Nothing was rewritten.\n"


def test_a_method_that_ends_the_process_is_told(monkeypatch, capsys) -> None:
    def leave(args: object) -> int:
        raise SystemExit(0)

    monkeypatch.setattr("pluginkit.cli.commands.list.run", leave)
    assert main(["list"]) == 1
    assert "a bug in pluginkit or in a plugin: SystemExit: 0" in capsys.readouterr().err
