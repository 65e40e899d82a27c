"""Runs one check and turns whatever happens into a CheckResult."""

from __future__ import annotations

import time
import traceback
import warnings

from pluginkit.checking.check import Check, Failure, NotRun, outcome_of
from pluginkit.checking.check_report import CheckResult
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.checking.reproduction_script import script_for
from pluginkit.checking.requirements import missing_for


def execute(check: Check, subject: Subject) -> CheckResult:
    """Run a check in this process."""
    missing = missing_for(check.needs, subject)
    if missing is not None:
        return CheckResult(check.name, "not run", missing)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba's and numpy's say nothing about the plugin
            remark = check.run(subject) or ""
    except NotRun as reason:
        return CheckResult(check.name, "not run", str(reason))
    except Failure as failure:
        return failed(check, subject, failure, time.perf_counter() - started)
    except Exception as error:  # the author's methods may raise anything
        outcome = _unexpected(error)
        if isinstance(outcome, NotRun):
            return CheckResult(check.name, "not run", str(outcome))
        return failed(check, subject, outcome, time.perf_counter() - started)
    return CheckResult(check.name, "passed", remark, seconds=time.perf_counter() - started)


def failed(check: Check, subject: Subject, failure: Failure, seconds: float) -> CheckResult:
    """The CheckResult of a failure, with its script."""
    return CheckResult(
        check.name,
        "failed",
        where=failure.where,
        got=failure.got,
        expected=failure.expected,
        cause=failure.cause,
        script=script_for(check, subject, failure.case),
        seconds=seconds,
    )


def _unexpected(error: Exception) -> Failure | NotRun:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return outcome_of(error, f"{frame.filename}:{frame.lineno}, in {frame.name}")
