"""A command whose process crashes ends in words; signals reach it, and its exit code comes back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parents[2]

#: Runs ``pluginkit show x`` with another body.
SCRIPT = """
import atexit, os, signal, sys, time
from pluginkit.cli import supervised_command
from pluginkit.cli.commands import show
from pluginkit.current_work import PARSING, note_detail, working
from pluginkit.errors import UsageError

def die(number=signal.SIGSEGV):
    os.kill(os.getpid(), number)

def run(args):
    {body}
    return 0

show.run = run
sys.argv = ["pluginkit", "show", "x", *{options}]
sys.exit(supervised_command.main())
"""


def script(body: str, *options: str) -> list[str]:
    code = SCRIPT.format(body=body.replace("\n", "\n    "), options=options)
    return [sys.executable, "-W", "error", "-c", code]


def run(body: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        script(body, *options), cwd=ROOT, capture_output=True, text=True, check=False
    )


WORK = "with working('tensorrt 10', PARSING, 'm.onnx'):\n    note_detail('step 3')\n    die()"


def test_a_crash_says_what_crashed_doing_what() -> None:
    done = run(WORK)
    first, where, *_ = done.stderr.splitlines()
    assert first == (
        "PK527 tensorrt 10 was ended by SIGSEGV while parsing a model; "
        "expected a result or an error."
    )
    assert where == "  Where: m.onnx, step 3"
    assert "pluginkit scan m.onnx" in done.stderr
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("action", ["DESCRIBING", "BUILDING"])
def test_a_crash_in_the_network_of_a_script_is_for_its_author(action: str) -> None:
    done = run(
        f"from pluginkit.current_work import {action}\n{WORK}".replace("PARSING", action).replace(
            "m.onnx", "net.py"
        )
    )
    assert "leave layers out of load_network" in done.stderr
    assert "scan" not in done.stderr


def test_a_crash_after_the_work_is_that_of_the_command() -> None:
    done = run("with working('tensorrt 10', PARSING):\n    pass\ndie(signal.SIGABRT)")
    assert done.stderr.startswith("PK527 pluginkit was ended by SIGABRT while running the command")


def test_a_crash_is_reported_as_json() -> None:
    done = run(WORK, "--json")
    assert json.loads(done.stdout)["error"]["code"] == "PK527"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("print('printed')", 0, ""),
        ("raise UsageError('PK500', 'wrong.')", 2, "PK500 wrong.\n"),
        ("atexit.register(die)", 0, ""),  # the work is done
        ("die(signal.SIGTERM)", -signal.SIGTERM, ""),
        ("die(signal.SIGINT)", 130, "pluginkit: cancelled.\n"),
    ],
)
def test_the_end_of_a_command_is_as_without_a_supervisor(body: str, code: int, said: str) -> None:
    done = run(body)
    assert (done.returncode, done.stderr) == (code, said)
    assert done.stdout == ("printed\n" if "printed" in body else "")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, -signal.SIGTERM),
        (signal.SIGHUP, -signal.SIGHUP),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_signal_ends_parent_and_child(number: signal.Signals, code: int) -> None:
    command = script("print(os.getpid(), flush=True)\ntime.sleep(60)")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=-1) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert child != process.pid
        process.send_signal(number)
        process.stdout.read()  # until both have ended, which hold it open
        assert process.wait(10) == code


def test_streams_that_the_caller_has_closed_go_nowhere(tmp_path: Path) -> None:
    opened = f"with open({str(tmp_path / 'made')!r}, 'w') as made: print(made.fileno(), file=made)"
    command = script(f"print('unread')\n{opened}\nraise UsageError('PK500', 'unread')")
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert int((tmp_path / "made").read_text()) > 2


def test_a_full_disk_is_no_bug_of_pluginkit() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            script("print('lost')"), cwd=ROOT, stdout=full, stderr=-1, text=True, check=False
        )
    assert done.returncode == 1
    assert "No space left on device.\n  Fix:   free room" in done.stderr
    assert "bug" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_a_signal_leaves_no_temporary_files(number: signal.Signals, tmp_path: Path) -> None:
    body = (
        "import tempfile\nfrom pathlib import Path\n"
        "from pluginkit.current_work import scratch_prefix\n"
        "with tempfile.TemporaryDirectory(prefix=scratch_prefix('x')) as folder, \\\n"
        "        tempfile.NamedTemporaryFile(prefix=scratch_prefix('y')):\n"
        "    Path(folder, 'file').touch()\n"
        "    assert len(list(Path(tempfile.gettempdir()).iterdir())) == 2\n"
        f"    die({int(number)})"
    )
    done = subprocess.run(
        script(body), cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == {signal.SIGSEGV: 1, signal.SIGINT: 130}.get(number, -number)
    assert not list(tmp_path.iterdir())


PLUGIN = """
import os, signal

from pluginkit import Input, Output, Plugin, float32


class Deadly(Plugin):
    types = {"T": (float32,)}
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def workspace_bytes(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)

    def launches(self, x, y, workspace):
        return ()

    def reference(self, x):
        return x
"""


@pytest.mark.trt
def test_a_crash_in_a_build_leaves_no_plan(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(PLUGIN)
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18, "pluginkit" : 1]>'
        " g (float[2] x) => (float[2] y) { y = pluginkit.Deadly_PK (x) }"
    )
    onnx.save(model, tmp_path / "model.onnx")
    command = [sys.executable, "-m", "pluginkit", "build", "model.onnx", "--plugins", "."]
    done = subprocess.run(
        [*command, "--tensorrt", "tensorrt_rtx", "--compute-capability", "8.9"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("PK527 tensorrt_rtx ")
    assert "ended by SIGSEGV while building an engine" in done.stderr
    assert "Fix:   give --shapes with one size for each dimension" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {
        "deadly.py",
        "model.onnx",
    }
