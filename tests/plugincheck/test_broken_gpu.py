"""Plugins broken on a GPU fail the checks that they name; sound and shipped ones fail none."""

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.testing import plugincheck
from tests.plugincheck.broken import Copying
from tests.plugincheck.broken_on_gpu import CAUGHT, RightStream

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

ON_GPU = [name for name, one in all_checks().items() if one.needs_gpu]


@pytest.mark.parametrize("plugin", CAUGHT, ids=lambda one: one.__name__)
def test_a_plugin_broken_on_a_gpu_is_caught(plugin) -> None:
    report = plugincheck(plugin, only=sorted(CAUGHT[plugin]))
    assert {result.check for result in report.of("failed")} == CAUGHT[plugin], str(report)


@pytest.mark.parametrize("plugin", [Copying, RightStream, ScatterElements, CircPad])
def test_a_sound_plugin_passes_on_a_gpu(plugin) -> None:
    report = plugincheck(plugin, only=ON_GPU)
    print(report)  # noqa: T201  # what determinism says is worth reading
    assert not report.has_failures, str(report)
    assert len(report.of("passed")) >= len(ON_GPU) - 3, str(report)
