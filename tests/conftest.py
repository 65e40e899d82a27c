import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from types import ModuleType

import pytest

#: CPU seconds of a test and its processes above which it is marked ``slow``; see CONTRIBUTING.md.
SLOW_S = 2.0


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_arrives() -> None:
    """Also where a script started the tests in the background, which ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_modules_of_other_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the plugins and rewrites that other tests have imported from temporary folders."""
    folder = str(tmp_path_factory.getbasetemp().parent)

    def is_temporary(module: ModuleType) -> bool:
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
        return any(str(place).startswith(folder) for place in places)

    hidden = {name: module for name, module in sys.modules.items() if is_temporary(module)}
    for name in hidden:
        del sys.modules[name]
    yield
    for name, module in list(sys.modules.items()):
        if is_temporary(module):
            del sys.modules[name]
    sys.modules.update(hidden)


@cache
def why_no_gpu() -> str:
    """Return what a kernel lacks on this machine, or "" where it can run."""
    from pluginkit.errors import MissingDependencyError
    from pluginkit.kernels.load import current_device

    try:
        current_device()
    except MissingDependencyError as error:
        return error.message
    return ""


class TestsWithoutGpu(pytest.Item):
    """One skip for all tests of a file that need a GPU, with their number in the report."""

    def __init__(self, count: int, **given: object) -> None:
        super().__init__(**given)
        self.user_properties.append(("tests", count))

    def runtest(self) -> None:
        pytest.skip(f"needs a GPU: {why_no_gpu()}")

    def reportinfo(self) -> tuple[object, int, str]:
        return self.path, 0, self.name


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there is no GPU, put one skip per file in the place of the tests that need one."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu or not why_no_gpu():
        return
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]
    for _, group in groupby(on_gpu, key=lambda item: item.path):
        tests = list(group)
        module = tests[0].getparent(pytest.Module)
        name = f"{len(tests)}_tests_need_a_gpu"
        items.append(TestsWithoutGpu.from_parent(module, name=name, count=len(tests)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        reasons[str(reason).removeprefix("Skipped: ")] += dict(report.user_properties).get(
            "tests", 1
        )
    if reasons:
        terminalreporter.section(f"{reasons.total()} tests skipped")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:6} {reason}")
