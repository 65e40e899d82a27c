"""The shipped plugins pass everything that can run here."""

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.discovery import find_plugins
from pluginkit.testing import plugincheck

pytestmark = pytest.mark.trt

SHIPPED = [one for one in find_plugins().values() if one.__module__.startswith("pluginkit.")]


def test_there_are_shipped_plugins() -> None:
    assert {"ScatterElements", "ScatterND", "CircPad", "GridSample"} <= {
        one.__name__ for one in SHIPPED
    }


@pytest.mark.parametrize("plugin", SHIPPED, ids=lambda one: one.__name__)
def test_a_shipped_plugin_passes_all_that_needs_no_gpu(plugin) -> None:
    on_cpu = [name for name, one in all_checks().items() if not one.needs_gpu]
    report = plugincheck(plugin, only=on_cpu)
    assert not report.has_failures, str(report)
    not_run = {result.check for result in report.of("not run")}
    assert not_run <= {"declaration", "reference_against_onnx", "simulator"}, str(report)
