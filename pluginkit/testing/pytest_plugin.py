"""pytest: one test for each check of a plugin, a ``plugincheck`` fixture, and the marker ``gpu``.

pytest loads this module in every run of an environment that has pluginkit: it imports nothing else
before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pluginkit.checking.check_report import CheckReport
    from pluginkit.checking.plugincheck import Session


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of tests that execute kernels."""
    config.addinivalue_line("markers", "gpu: needs a CUDA GPU")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check in every subclass of PluginChecks."""
    if "plugincheck_session" not in metafunc.fixturenames:
        return
    from pluginkit.checking.check import all_checks

    is_on_host = getattr(metafunc.cls, "memory", "gpu") == "host"
    metafunc.parametrize(
        "check",
        [
            pytest.param(
                one.name, marks=[pytest.mark.gpu] if one.needs_gpu and not is_on_host else []
            )
            for one in all_checks().values()
        ],
    )


@pytest.fixture(scope="class")
def plugincheck_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The session that all checks of one PluginChecks class share."""
    from pluginkit.checking.plugin_under_test import Subject
    from pluginkit.checking.plugincheck import Session

    cls: Any = request.cls
    with Session(Subject(cls.plugin, cls.cases, cls.memory)) as session:
        yield session


@pytest.fixture
def plugincheck() -> Callable[..., CheckReport]:
    """``plugincheck(Scale)``: runs the checks, fails the test when one fails."""
    from pluginkit.checking.plugincheck import plugincheck as check

    def run(*args: Any, **kwargs: Any) -> CheckReport:
        report = check(*args, **kwargs)
        report.raise_if_failed()
        return report

    return run
