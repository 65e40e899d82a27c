"""Run every check of one plugin, in a child process if it may crash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pluginkit.checking.check import Check, all_checks, chosen_checks
from pluginkit.checking.check_report import CheckReport, CheckResult
from pluginkit.checking.check_worker import CheckWorker
from pluginkit.checking.plugin_under_test import MemoryKind, Subject
from pluginkit.checking.requirements import missing_for
from pluginkit.checking.run_check import execute
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Case, Plugin


def plugincheck(
    plugin_class: type[Plugin],
    cases: Iterable[Case] | None = None,
    *,
    only: Sequence[str] | None = None,
    memory: MemoryKind = "gpu",
    isolate: bool = True,
    sanitize: bool = False,
) -> CheckReport:
    """Check everything about a plugin that can be checked on this machine.

    Checks that use TensorRT or a GPU may crash, so they run in a separate process. A check's
    docstring says what it proves and what it does not: see ``pluginkit check --list``.

    Args:
        plugin_class: the plugin.
        cases: sample calls; by default the plugin's own.
        only: the names of the checks to run; by default all.
        memory: ``"host"`` for a plugin whose ``enqueue`` works in host memory.
        isolate: False runs everything in this process, for a debugger; a crash then ends it.
        sanitize: run every call and more orders on the PTX machine, without a time limit.

    Returns:
        a result for each check; ``report.raise_if_failed()`` raises.

    Errors:
        PK221: there is no check of that name.
    """
    chosen = chosen_checks(None if only is None else tuple(only))
    subject = Subject(plugin_class, cases, memory, is_patient=sanitize)
    with Session(subject, isolate=isolate) as session:
        return CheckReport(plugin_class.__name__, [session.run(check) for check in chosen])


class Session:
    """Runs checks of one plugin; its worker process serves one after another."""

    def __init__(self, subject: Subject, *, isolate: bool = True) -> None:
        self.subject = subject
        self._isolate = isolate
        self._worker: CheckWorker | None = None
        self._seen: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def run(self, check: Check) -> CheckResult:
        """Run one check; a failure names an earlier one with the same cause."""
        result = self._run(check)
        if not result.root:
            return result
        first = self._seen.setdefault(result.root, check.name)
        return result if first == check.name else replace(result, same_as=first)

    def _run(self, check: Check) -> CheckResult:
        is_away = check.is_isolated and self._isolate
        if not is_away or missing_for(check.needs, self.subject) is not None:
            return execute(check, self.subject)
        try:
            self._worker = self._worker or CheckWorker(self.subject)
        except UsageError as error:
            return CheckResult(
                check.name, "not run", f"a class that can be imported: {error.message}"
            )
        result = self._worker.run(check)
        if result.status == "failed":  # it may have crashed, or left an error on the GPU
            self._close()
        return result

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class PluginChecks:
    """A pytest class with one test for each check of a plugin.

    For example::

        class TestScale(PluginChecks):
            plugin = Scale

    Class members:
        plugin: the plugin class.
        cases: sample calls; by default the plugin's own.
        memory: as for :func:`plugincheck`.
    """

    plugin: ClassVar[type[Plugin]]
    cases: ClassVar[Iterable[Case] | None] = None
    memory: ClassVar[MemoryKind] = "gpu"

    def test_plugin(self, check: str, plugincheck_session: Any) -> None:
        """The plugin passes the check."""
        import pytest

        result = plugincheck_session.run(all_checks()[check])
        if result.status == "not run":
            pytest.skip(f"not run, needs {result.remark}")
        CheckReport(self.plugin.__name__, [result]).raise_if_failed()
