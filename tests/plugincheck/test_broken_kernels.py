"""Plugins whose kernels are broken fail the checks that they name; sound and shipped ones none.

On a GPU, or on the PTX machine where there is none.
"""

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.testing import plugincheck
from tests.plugincheck.broken import Copying
from tests.plugincheck.broken_on_gpu import CAUGHT, RightStream

pytestmark = pytest.mark.trt

EXECUTING = [name for name, one in all_checks().items() if {"device", "cuda"} & set(one.needs)]
NEEDS_GPU = {name for name in EXECUTING if all_checks()[name].needs_gpu}
#: What the machine can see of each, which runs no enqueue of one's own.
WITHOUT_GPU = {
    plugin: caught - NEEDS_GPU
    for plugin, caught in CAUGHT.items()
    if caught - NEEDS_GPU and "launches" in plugin.spec.overrides
}


@pytest.mark.parametrize(
    "plugin", [pytest.param(one, marks=pytest.mark.gpu, id=one.__name__) for one in CAUGHT]
)
def test_a_plugin_broken_on_a_gpu_is_caught(plugin) -> None:
    report = plugincheck(plugin, only=sorted(CAUGHT[plugin]))
    assert {result.check for result in report.of("failed")} == CAUGHT[plugin], str(report)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", WITHOUT_GPU, ids=lambda one: one.__name__)
def test_most_are_caught_without_a_gpu(plugin) -> None:
    report = plugincheck(plugin, only=sorted(WITHOUT_GPU[plugin]))
    assert {result.check for result in report.of("failed")} == WITHOUT_GPU[plugin], str(report)


@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param(one, marks=pytest.mark.gpu, id=one.__name__)
        for one in (Copying, RightStream, ScatterElements, CircPad)
    ],
)
def test_a_sound_plugin_passes_on_a_gpu(plugin) -> None:
    report = plugincheck(plugin, only=EXECUTING)
    print(report)  # noqa: T201  # what determinism says is worth reading
    assert not report.has_failures, str(report)
    assert len(report.of("passed")) >= len(EXECUTING) - 4, str(report)
