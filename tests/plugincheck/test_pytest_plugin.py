"""The pytest plugin in a separate project."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pluginkit
from pluginkit.checking.check import all_checks

pytestmark = pytest.mark.trt

PROJECT = """
from tests.plugincheck.sound import Blend
from tests.plugincheck.broken import ReferenceOfAnotherOperator
from pluginkit.testing import PluginChecks


class TestBlend(PluginChecks):
    plugin = Blend
    memory = "host"


class TestOnAGpu(PluginChecks):
    plugin = Blend


def test_fixture(plugincheck):
    plugincheck(ReferenceOfAnotherOperator, only=["reference_against_onnx"])
"""


def pytest_in(folder: Path, *options: str) -> str:
    (folder / "test_mine.py").write_text(PROJECT)
    roots = [Path(__file__).parents[2], Path(pluginkit.__file__).parents[1]]
    path = os.pathsep.join(map(str, roots))
    name = "pluginkit.testing.pytest_plugin"
    installed = {point.value for point in importlib.metadata.entry_points(group="pytest11")}
    loaded = [] if name in installed else ["-p", name]
    options = ("-q", "-rA", "--strict-markers", "--color=no", *options, *loaded)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""},
    ).stdout


@pytest.mark.slow
def test_one_test_for_each_check_and_what_cannot_run_is_skipped(tmp_path: Path) -> None:
    out = pytest_in(tmp_path, "-k", "TestBlend or fixture")
    on_its_own_line = [line for line in out.splitlines() if "TestBlend::test_plugin[" in line]
    assert 20 <= len(on_its_own_line) <= len(all_checks())  # skips of one reason share a line
    assert "PASSED test_mine.py::TestBlend::test_plugin[build]" in out
    assert "PASSED test_mine.py::TestBlend::test_plugin[kernel_types]" in out
    assert "not run, needs onnx_op is not set" in out
    assert "FAILED test_mine.py::test_fixture - pluginkit.errors.CheckError: PK220" in out
    assert "1 failed" in out


@pytest.mark.slow
def test_the_marker_gpu_leaves_kernels_out(tmp_path: Path) -> None:
    out = pytest_in(tmp_path, "-m", "gpu", "--collect-only")
    on_gpu = [name for name, one in all_checks().items() if one.needs_gpu]
    collected = [line for line in out.splitlines() if "::test_plugin[" in line]
    assert collected == [f"test_mine.py::TestOnAGpu::test_plugin[{name}]" for name in on_gpu]
    assert on_gpu == ["stream", "graph_capture"]  # the PTX machine runs the others
