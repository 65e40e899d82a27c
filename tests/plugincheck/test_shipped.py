"""The shipped plugins pass everything that can run without a GPU."""

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.checking.time_budget import SHARES
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
    wanted = {name for name, one in all_checks().items() if not one.needs_gpu}
    wanted -= EXECUTING | {"compile"}
    report = plugincheck(plugin, only=sorted(wanted))
    assert not report.has_failures, str(report)
    assert len(report.of("passed")) >= len(wanted) - 3, str(report)
    not_run = {result.check for result in report.of("not run")}
    assert not_run <= {"declaration", "reference_against_onnx"}, str(report)


@pytest.mark.slow
@each_shipped_plugin
def test_the_kernels_of_the_cases_compile(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the oldest architecture: tests/plugins compile every kernel for all of them."""
    oldest = compiling.ARCHITECTURES[:1]
    monkeypatch.setattr(compiling, "ARCHITECTURES", oldest)
    (result,) = plugincheck(plugin, only=["compile"]).results
    assert result.status == "passed", result
    assert str(result).endswith(f" for {oldest[0]}"), result


#: Their kernels run in every run of the tests, for a third of the time that each check may take;
#: ``pytest -m exhaustive`` runs those of all plugins for the whole of it.
EVERY_TIME = ("AddRMSNorm", "CircPad", "ScatterElements", "ScatterND")


def assert_kernels_pass(plugin, *, isolate: bool) -> None:
    report = plugincheck(plugin, only=sorted(EXECUTING), isolate=isolate)
    assert not report.has_failures, str(report)
    passed = {result.check for result in report.of("passed")}
    assert {"sanitizer", "kernel_types", "poisoned_outputs", "determinism"} <= passed, str(report)
    assert ("kernel_in_place" in passed) == plugin.spec.has_aliases, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_TIME)
def test_no_kernel_is_wrong_or_flagged_in_a_third_of_the_time(
    name, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share, seconds in SHARES.items():
        monkeypatch.setitem(SHARES, share, seconds / 3)
    (plugin,) = (one for one in SHIPPED if one.__name__ == name)
    assert_kernels_pass(plugin, isolate=False)


@pytest.mark.slow
@pytest.mark.exhaustive
@each_shipped_plugin
def test_no_kernel_of_a_shipped_plugin_is_wrong_or_flagged(plugin) -> None:
    assert_kernels_pass(plugin, isolate=True)
