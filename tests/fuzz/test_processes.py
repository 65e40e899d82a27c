"""Ctrl-C, full and read-only disks, and several processes that write one file."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pluginkit.cli.main import main
from pluginkit.engine import check_manifest
from tests.fuzz import models, targets_files

pytestmark = pytest.mark.trt

RTX = ["--tensorrt", "tensorrt_rtx", "--compute-capability", "8.9"]
PLUGINKIT = [sys.executable, "-m", "pluginkit"]


@pytest.fixture
def scatter(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / "model.onnx"
    path.write_bytes(models._scatter_model().SerializeToString())
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("builds", [6, pytest.param(15, marks=pytest.mark.exhaustive)])
def test_ctrl_c_at_any_moment_of_a_build_leaves_all_or_nothing(builds: int, scatter: Path) -> None:
    plan = scatter.with_suffix(".plan")
    started = time.monotonic()
    subprocess.run([*PLUGINKIT, "build", scatter, *RTX], check=True, capture_output=True)
    longest = time.monotonic() - started
    _remove_whole(plan)
    before = content(scatter.parent)
    moments = random.Random(0)  # noqa: S311  # reproducible, not secret
    cancelled = 0
    while cancelled < builds:
        process = subprocess.Popen(
            [*PLUGINKIT, "build", scatter, *RTX], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        _wait_for_command(process)
        time.sleep(moments.uniform(0, longest))
        process.send_signal(signal.SIGINT)
        report, printed = process.communicate(timeout=60)
        assert b"Traceback" not in printed, printed.decode()
        if b"Wrote" in report:
            longest *= 0.8  # too late, on a machine that is faster now
        else:
            cancelled += 1
            # Python ends by the signal itself where it interrupted an exec, as of a dataclass;
            # a shell calls that 130 as well.
            assert process.returncode in (130, -signal.SIGINT), printed.decode()
            # TensorRT's bindings report it too if it comes while the plugin's code runs.
            assert printed.endswith(b"pluginkit: cancelled.\n")
        if b"Wrote" in report or plan.exists():  # the signal may come between the two
            _remove_whole(plan)
        assert content(scatter.parent) == before


def _remove_whole(plan: Path) -> None:
    check_manifest(plan)
    plan.unlink()
    plan.with_suffix(".plan.json").unlink()


def _wait_for_command(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the command has begun in a child; before that, Python is still starting."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        maps = [Path(f"/proc/{child}/maps") for child in children.read_text().split()]
        if any("_multiarray_umath" in each.read_text() for each in maps):
            return
        time.sleep(0.005)


WRITES = {
    "write": "pathlib.Path.open",
    "fsync": "os.fsync",
    "replace": "pathlib.Path.replace",
}


@pytest.mark.parametrize("step", WRITES)
@pytest.mark.parametrize("command", ["rewrite", "build"])
def test_a_full_disk_leaves_nothing_and_says_so(
    step: str, command: str, scatter: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    before = content(scatter.parent)
    original = Path.open

    def full(*args: Any, **named: Any) -> Any:
        if step != "write" or "xb" in args:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args, **named)

    monkeypatch.setattr(WRITES[step], full)
    code = main([command, str(scatter), *(RTX if command == "build" else [])])
    monkeypatch.undo()
    assert code == 2
    assert "No space left on device" in capsys.readouterr().err
    assert content(scatter.parent) == before


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 100, 5000])
def test_a_file_size_limit_leaves_nothing(limit: int, scatter: Path) -> None:
    """A real ENOSPC needs a file system of its own; EFBIG also comes with a write."""
    before = content(scatter.parent)
    code = "import resource, signal, sys; from pluginkit.cli.main import main;"
    code += "from pluginkit.trt.flavour import load_flavour; load_flavour('tensorrt_rtx');"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
    code += f"sys.exit(main({['build', str(scatter), *RTX]!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "PK525" in done.stderr
    assert "Traceback" not in done.stderr
    assert content(scatter.parent) == before


def test_no_plan_is_left_without_its_manifest(
    scatter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "p" * 253  # a valid file name, but too long with .json
    assert main(["build", str(scatter), "-o", str(scatter.parent / name), *RTX]) == 2
    assert "PK525" in capsys.readouterr().err
    assert list(content(scatter.parent)) == ["model.onnx"]


READ_ONLY = """
import os, sys
from pluginkit.cli.main import main
*command, elsewhere = sys.argv[1:]
assert main([*command, "-o", elsewhere]) == 0  # everything is imported now
os.chmod(os.path.dirname(command[1]), 0o555)
if os.geteuid() == 0:  # whom no permission stops
    os.setresuid(65534, 65534, 65534)
sys.exit(main(command))
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["rewrite", "build"])
def test_an_error_names_a_read_only_folder(command: str, scatter: Path, tmp_path: Path) -> None:
    before = content(scatter.parent)
    for folder in scatter.parents[:-2]:
        if os.geteuid() == 0:
            folder.chmod(folder.stat().st_mode | 0o055)
    argv = [command, scatter, *(RTX if command == "build" else []), tmp_path / "elsewhere"]
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, *argv], capture_output=True, text=True, timeout=120
        )
    finally:
        scatter.parent.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "read-only" in done.stderr or "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert content(scatter.parent) == before


@pytest.mark.slow
def test_builds_to_one_plan_and_one_timing_cache_leave_a_whole_plan(scatter: Path) -> None:
    plan, cache = scatter.with_suffix(".plan"), scatter.parent / "timing.cache"
    command = [*PLUGINKIT, "build", scatter, *RTX, "--timing-cache", cache]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        _, printed = process.communicate(timeout=300)
        assert process.returncode == 0, printed.decode()
    left = set(content(scatter.parent)) - {"timing.cache"}
    assert left == {"model.onnx", "model.plan", "model.plan.json"}
    # Each writer may replace one of the two files last; a plan with other bytes would be refused.
    assert json.loads(plan.with_suffix(".plan.json").read_bytes())["plan_bytes"] > 0
    check_manifest(plan)


def test_a_model_that_crashes_the_parser_is_refused_before_it(tmp_path: Path) -> None:
    model = models._loop()
    del model.graph.node[1].attribute[0].g.output[:]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    done = subprocess.run(
        [*PLUGINKIT, "build", path, *RTX], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "PK446" in done.stderr
    assert list(content(tmp_path)) == ["model.onnx"]


SCALE = """
from numba import cuda

def scale(x, factor):
    i = cuda.grid(1)
    if i < x.size:
        x[i] = x[i] * factor
"""
KERNEL_CACHE = """
import sys
from pathlib import Path
from pluginkit import TensorDesc, float32
from pluginkit.kernels.arguments import argument_types
from pluginkit.kernels.numba_cache import compiled_numba
from pluginkit.kernels.specialise import NumbaSpecialisation
from pluginkit.contract.tensors import Slot
x = TensorDesc("x", (4,), float32, Slot("input"))
wanted = NumbaSpecialisation(Path(sys.argv[1]), "scale", argument_types("scale", (x, 2.0)))
sys.stdout.write(str(len(compiled_numba(wanted, "80").cubin)))
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "plugin" / "kernel.py"
    path.parent.mkdir()
    path.write_text(SCALE)
    return path


@pytest.mark.slow
def test_processes_that_share_a_kernel_cache_get_the_same_kernel(
    kernel: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    environment = {**os.environ, "PLUGINKIT_CACHE": str(cache)}
    command = [sys.executable, "-c", KERNEL_CACHE, kernel]
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(3)
    ]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert len({printed for printed, _ in results}) == 1
    assert int(results[0][0]) > 0
    assert [one.suffix for one in cache.iterdir()] == [".kernel"]


@pytest.mark.parametrize("step", WRITES)
def test_a_kernel_compiles_although_the_disk_is_full(
    step: str, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A full disk means that nothing is cached, and nothing is half-written."""
    monkeypatch.setenv("PLUGINKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["-c", str(kernel)])
    original = Path.open
    refused: list[str] = []

    def full(*args: Any, **named: Any) -> Any:
        if step != "write" or "xb" in args:
            refused.append(step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args, **named)

    monkeypatch.setattr(WRITES[step], full)
    exec(KERNEL_CACHE, {})  # noqa: S102  # as the processes above
    assert refused == [step]
    assert int(capsys.readouterr().out) > 0
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_manifest_never_has_a_module_imported(tmp_path: Path) -> None:
    """The plan's folder is the current one, so it is on the module path."""
    marker = tmp_path / "marker"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (tmp_path / "m.plan").write_bytes(targets_files._PLAN)
    (tmp_path / "m.plan.json").write_text(json.dumps(targets_files.valid_manifest()))
    import numpy as np

    np.savez(tmp_path / "in.npz", x=np.zeros((2, 4), np.float32))
    before = content_names(tmp_path)
    done = subprocess.run(
        [*PLUGINKIT, "run", "m.plan", "--inputs", "in.npz"], cwd=tmp_path, capture_output=True,
        text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "evil:Evil" in done.stderr  # it is named, not executed
    assert content_names(tmp_path) == before


def content_names(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*")}
