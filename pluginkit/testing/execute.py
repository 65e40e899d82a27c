"""Runs one check and turns whatever happens into a Result."""

from __future__ import annotations

import time
import traceback
import warnings

from pluginkit.testing.check import Check, Failure, NotRun, failure_of
from pluginkit.testing.report import Result
from pluginkit.testing.requirements import missing_for
from pluginkit.testing.script import script_for
from pluginkit.testing.subject import Subject


def execute(check: Check, subject: Subject) -> Result:
    """Run a check in this process."""
    missing = missing_for(check.needs, subject)
    if missing is not None:
        return Result(check.name, "not run", missing)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba's and numpy's say nothing about the plugin
            remark = check.run(subject) or ""
    except NotRun as reason:
        return Result(check.name, "not run", str(reason))
    except Failure as failure:
        return failed(check, subject, failure, time.perf_counter() - started)
    except Exception as error:  # the author's methods may raise anything
        return failed(check, subject, _unexpected(error), time.perf_counter() - started)
    return Result(check.name, "passed", remark, seconds=time.perf_counter() - started)


def failed(check: Check, subject: Subject, failure: Failure, seconds: float) -> Result:
    """The Result of a failure, with its script."""
    return Result(
        check.name,
        "failed",
        where=failure.where,
        got=failure.got,
        expected=failure.expected,
        cause=failure.cause,
        script=script_for(check, subject, failure.case),
        seconds=seconds,
    )


def _unexpected(error: Exception) -> Failure:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return failure_of(error, f"{frame.filename}:{frame.lineno}, in {frame.name}")
