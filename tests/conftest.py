import gc
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from types import ModuleType

import pytest

from tests.browser import COMMANDS, Browser

#: A test that takes more CPU seconds, its child processes included, is marked ``slow``.
SLOW_CPU_S = 2.0
_STARTED = pytest.StashKey[float]()
#: How many objects are made before Python looks for cycles. The PTX machine makes many that stay:
#: to look every 700 objects takes a quarter of its time.
_COLLECTED_AFTER = 50_000


def pytest_configure() -> None:
    gc.set_threshold(_COLLECTED_AFTER)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave the tests and their modules, which stay, out of every search for cycles."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_arrives() -> None:
    """Let Ctrl-C arrive, although a script that starts tests in the background ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_modules_of_other_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the plugins and rewrites that other tests have imported from temporary folders."""
    folder = str(tmp_path_factory.getbasetemp().parent)

    def is_temporary(module: ModuleType) -> bool:
        places = [getattr(module, "__file__", None) or "", *(vars(module).get("__path__") or ())]
        return any(str(place).startswith(folder) for place in places)

    modules = list(sys.modules.items())  # a lazy one imports others when it is looked at
    hidden = {name: module for name, module in modules if is_temporary(module)}
    for name in hidden:
        del sys.modules[name]
    yield
    for name, module in list(sys.modules.items()):
        if is_temporary(module):
            del sys.modules[name]
    sys.modules.update(hidden)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that all tests share; without one they are skipped."""
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    if command is None:
        pytest.skip(f"no browser is installed: none of {', '.join(COMMANDS)} is on the PATH")
    running = Browser(command, tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


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


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_STARTED] = cpu_seconds()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    if call.when == "call":
        item.user_properties.append(("cpu_seconds", cpu_seconds() - item.stash[_STARTED]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped and why, and which ones need the marker ``slow``."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        count = dict(report.user_properties).get("tests", 1)
        reasons[str(reason).removeprefix("Skipped: ")] += count
    if reasons:
        terminalreporter.section(f"{reasons.total()} tests skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:6} {reason}")
    unmarked = [
        (dict(report.user_properties)["cpu_seconds"], report.nodeid)
        for report in terminalreporter.stats.get("passed", ())
        if report.when == "call" and "slow" not in report.keywords
    ]
    too_slow = sorted((each for each in unmarked if each[0] > SLOW_CPU_S), reverse=True)
    if too_slow:
        terminalreporter.section(f"more than {SLOW_CPU_S} s of CPU time, and not marked slow")
    for seconds, test in too_slow:
        terminalreporter.line(f"{seconds:6.1f} {test}")
