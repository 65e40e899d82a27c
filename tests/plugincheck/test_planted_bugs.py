"""Each planted bug is caught by name where there is no GPU, and nothing sound is flagged."""

from pathlib import Path

import pytest

from pluginkit.testing import plugincheck
from tests.plugincheck.planted_bugs.corpus import bugs, sound_plugins

BUGS, SOUND = bugs(), sound_plugins()

pytestmark = [
    pytest.mark.trt,
    pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPerformanceWarning"),
]

#: Those that run kernels, here on the PTX machine.
EXECUTING = ["sanitizer", "kernel_types", "canaries", "poisoned_outputs", "kernel_in_place"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plugin.__name__)
def test_a_planted_bug_is_caught_by_name(bug) -> None:
    report = plugincheck(bug.plugin, only=[bug.check], isolate=False)
    assert [one.check for one in report.of("failed")] == [bug.check], str(report)
    (failed,) = report.of("failed")
    named = {line.partition(" ")[0].rstrip(":") for line in [failed.got, *failed.cause.split("\n")]}
    assert not bug.findings or named & set(bug.findings), str(failed)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", SOUND, ids=lambda plugin: plugin.__name__)
def test_a_sound_plugin_is_not_flagged(plugin) -> None:
    report = plugincheck(plugin, only=EXECUTING, isolate=False)
    assert not report.has_failures, str(report)
    passed = {one.check for one in report.of("passed")}
    assert passed >= set(EXECUTING) - {"kernel_in_place"}, str(report)


def test_there_are_enough_of_each_sort() -> None:
    assert len({bug.plugin.__name__ for bug in BUGS}) == len(BUGS) > 80
    kinds = {kind for bug in BUGS for kind in bug.findings}
    assert kinds == {
        "out_of_bounds",
        "uninitialised",
        "unwritten",
        "misaligned",
        "race",
        "barrier",
        "warp",
        "division",
        "input_written",
        "deadlock",
        "unrepeatable",
    }
    assert sum("numba" in bug.plugin.__module__ for bug in BUGS) > 10
    assert len(SOUND) > 15


def test_the_table_beside_them_has_each() -> None:
    page = (Path(__file__).parent / "planted_bugs" / "README.md").read_text()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()]
    names = [one.__name__ for one in [*(bug.plugin for bug in BUGS), *SOUND]]
    assert [row for row in rows if row in names] == names
