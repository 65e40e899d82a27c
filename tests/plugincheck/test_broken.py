"""Each broken plugin fails the checks that it names, and no other; the sound ones fail none."""

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.testing import plugincheck
from tests.plugincheck.broken import BROKEN, Copying
from tests.plugincheck.planted_bugs.corpus import bugs
from tests.plugincheck.sound import Blend, HostLeakyRelu, HostRelu, Pair

pytestmark = pytest.mark.trt

#: These take seconds: they run where they must fail, and on sound plugins.
SLOW = {"reload", "compile", "exports"}


#: What fails wherever a kernel is wrong, as most of those do whose declaration is.
EXECUTING = {n for n, one in all_checks().items() if {"device", "machine"} & set(one.needs)}


def failures(plugin, checks, memory):
    report = plugincheck(plugin, only=checks, memory=memory, isolate=False)
    for result in report.of("failed"):
        assert result.where, result
        assert result.got, result
        assert result.expected, result
        assert plugin.__name__ in result.script, result
    return {result.check for result in report.of("failed")}, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.plugin.__name__)
def test_a_broken_plugin_fails_the_checks_that_it_names(broken) -> None:
    assert broken.caught_by
    left_out = SLOW if broken.memory == "host" else SLOW | EXECUTING
    checks = [n for n in all_checks() if n not in left_out or n in broken.caught_by]
    failed, report = failures(broken.plugin, checks, broken.memory)
    assert failed == broken.caught_by, report


def test_without_cases_nothing_counts_as_passed() -> None:
    class NoCases(Blend):
        """Sound, and says nothing of its inputs."""

        @classmethod
        def cases(cls):
            return ()

    report = plugincheck(NoCases, memory="host", isolate=False)
    assert [result.check for result in report.of("passed")] == ["registry"], str(report)
    assert not report.of("failed")


@pytest.mark.parametrize("plugin", [Blend, HostRelu, HostLeakyRelu, Pair])
def test_a_sound_plugin_fails_none(plugin) -> None:
    failed, report = failures(plugin, list(all_checks()), "host")
    assert failed == set(), report
    assert "passed   kernel_types" in report
    assert "passed   reload" in report


@pytest.mark.slow
def test_a_sound_plugin_with_launches_fails_none() -> None:
    failed, report = failures(Copying, list(all_checks()), "gpu")
    assert failed == set(), report
    assert "passed   compile" in report
    assert "passed   launches" in report
    assert "passed   sanitizer" in report
    assert "passed   kernel_types" in report


def test_there_are_more_than_forty() -> None:
    assert len(BROKEN) > 40
    assert len({one.plugin.__name__ for one in BROKEN}) == len(BROKEN)


def test_every_check_catches_something() -> None:
    from tests.plugincheck.test_broken_adapters import PATCHES

    caught = {name for one in BROKEN for name in one.caught_by}
    caught |= {name for one in PATCHES.values() for name in one.caught_by}
    caught |= {bug.check for bug in bugs()}
    gpu_alone = {"stream", "graph_capture"}  # test_broken_gpu
    assert set(all_checks()) - caught == gpu_alone
