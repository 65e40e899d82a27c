"""The shipped plugins pass everything that can run without a GPU."""

import pytest

from pluginkit import Plugin
from pluginkit.checking.check import all_checks
from pluginkit.discovery import find_plugins
from pluginkit.kernels import compile as compiling
from pluginkit.testing import plugincheck

pytestmark = pytest.mark.trt

SHIPPED = [one for one in find_plugins().values() if one.__module__.startswith("pluginkit.")]
each_shipped_plugin = pytest.mark.parametrize("plugin", SHIPPED, ids=lambda one: one.__name__)


def test_there_are_shipped_plugins() -> None:
    assert {"ScatterElements", "ScatterND", "CircPad", "GridSample"} <= {
        one.__name__ for one in SHIPPED
    }


EXECUTING = {n for n, one in all_checks().items() if {"device", "machine"} & set(one.needs)}


@pytest.mark.slow
@each_shipped_plugin
def test_a_shipped_plugin_passes_all_that_runs_no_kernel(plugin) -> None:
    """In this process; test_broken_adapters runs checks in a process of their own."""
    wanted = {name for name, one in all_checks().items() if not one.needs_gpu}
    wanted -= EXECUTING | {"compile"}
    report = plugincheck(plugin, only=sorted(wanted), isolate=False)
    assert not report.has_failures, str(report)
    assert len(report.of("passed")) >= len(wanted) - 3, str(report)
    not_run = {result.check for result in report.of("not run")}
    assert not_run <= {"declaration", "reference_against_onnx"}, str(report)


#: Their kernels take half of the time of all; ``pytest -m exhaustive`` compiles them.
LONGEST = {"Dft", "GridSample", "SegmentReduce", "SelectiveScan", "TopK", "Unique"}


def _unless(plugin: type[Plugin], is_left: bool) -> object:
    return pytest.param(plugin, id=plugin.__name__, marks=[pytest.mark.exhaustive] * is_left)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [_unless(one, one.__name__ in LONGEST) for one in SHIPPED])
def test_the_kernels_of_the_cases_compile(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the oldest architecture: tests/plugins compile every kernel for others."""
    oldest = compiling.ARCHITECTURES[:1]
    monkeypatch.setattr(compiling, "ARCHITECTURES", oldest)
    (result,) = plugincheck(plugin, only=["compile"]).results
    assert result.status == "passed", result
    assert str(result).endswith(f" for {oldest[0]}"), result


#: Their kernels run in every run of the tests; ``pytest -m exhaustive`` runs the others.
EVERY_TIME = {"CircPad", "ScatterElements", "ScatterND"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "plugin",
    [_unless(one, one.__name__ not in EVERY_TIME) for one in SHIPPED],
)
def test_no_kernel_of_a_shipped_plugin_is_wrong_or_flagged(plugin) -> None:
    report = plugincheck(plugin, only=sorted(EXECUTING), isolate=False)
    assert not report.has_failures, str(report)
    passed = {result.check for result in report.of("passed")}
    assert {"sanitizer", "kernel_types", "poisoned_outputs", "determinism"} <= passed, str(report)
    assert ("kernel_in_place" in passed) == plugin.spec.has_aliases, str(report)
