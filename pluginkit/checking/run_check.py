"""Run one check, and turn its outcome into a CheckResult."""

from __future__ import annotations

import time
import traceback
import warnings

import numpy as np

from pluginkit.checking.check import Check
from pluginkit.checking.check_report import CheckResult
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.checking.reproduction_script import script_for
from pluginkit.checking.requirements import missing_for
from pluginkit.contract.plugin import Case


def execute(check: Check, subject: Subject) -> CheckResult:
    """Run a check in this process."""
    missing = missing_for(check.needs, subject)
    if missing is not None:
        return CheckResult(check.name, "not run", missing)
    started = time.perf_counter()
    subject.latest = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of numba and numpy are not about the plugin
            remark = check.run(subject) or ""
    except NotRun as reason:
        return CheckResult(check.name, "not run", str(reason))
    except Failure as failure:
        return failed(check, subject, failure, time.perf_counter() - started)
    except (Exception, SystemExit) as error:  # the author's methods may raise anything
        outcome = _unexpected(error, subject)
        if isinstance(outcome, NotRun):
            return CheckResult(check.name, "not run", str(outcome))
        return failed(check, subject, outcome, time.perf_counter() - started)
    return CheckResult(check.name, "passed", remark, seconds=time.perf_counter() - started)


def failed(check: Check, subject: Subject, failure: Failure, seconds: float) -> CheckResult:
    """Return the CheckResult of a failure, with its script."""
    return CheckResult(
        check.name,
        "failed",
        where=failure.where,
        got=failure.got,
        expected=failure.expected,
        cause=failure.cause,
        inputs="" if failure.case is None else inputs_of(failure.case, subject),
        root=failure.root,
        script=script_for(check, subject, failure.case),
        seconds=seconds,
    )


def _unexpected(error: Exception | SystemExit, subject: Subject) -> Failure | NotRun:
    call = subject.latest
    if call is not None:
        return outcome_of(error, call.label, call.case)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return outcome_of(error, f"{frame.filename}:{frame.lineno}, in {frame.name}")


def inputs_of(case: Case, subject: Subject) -> str:
    """Return the inputs of a case with their types and shapes, as in ``x float32[2, 3]``."""
    ports = subject.plugin_class.spec.inputs
    return ", ".join(
        f"{port.name} absent"
        if array is None
        else f"{port.name} {np.asarray(array).dtype.name}{list(np.shape(array))}"
        for port, array in zip(ports, case.inputs, strict=False)
    )
