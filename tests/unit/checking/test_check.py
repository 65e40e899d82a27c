"""Checks are found, explained, and turned into results."""

import pytest

from pluginkit.checking.check import Check, all_checks, chosen_checks
from pluginkit.checking.check_report import CheckReport, CheckResult
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.checking.requirements import REQUIREMENTS
from pluginkit.checking.run_check import execute
from pluginkit.errors import CheckError, UsageError
from pluginkit.plugins.circ_pad import CircPad


def test_checks_are_found_in_order() -> None:
    checks = all_checks()
    orders = [one.order for one in checks.values()]
    assert len(checks) >= 25
    assert orders == sorted(set(orders))
    names = list(checks)
    for earlier, later in (
        ("declaration", "reference"),
        ("reference", "shape_function"),
        ("shape_function", "dtypes"),
        ("dtypes", "format_combinations"),
        ("format_combinations", "attributes"),
        ("attributes", "workspace"),
        ("workspace", "registry"),
        ("registry", "build"),
        ("build", "reload"),
        ("reload", "compile"),
        ("compile", "kernel_types"),
    ):
        assert names.index(earlier) < names.index(later)


@pytest.mark.parametrize("check", all_checks().values(), ids=lambda one: one.name)
def test_each_says_what_it_proves_and_what_not(check: Check) -> None:
    assert len(check.doc.partition("\n")[0]) > 30
    assert "not prove" in check.doc
    assert set(check.needs) <= set(REQUIREMENTS)


def test_what_touches_tensorrt_onnxruntime_or_a_gpu_is_isolated() -> None:
    isolated = {name for name, one in all_checks().items() if one.is_isolated}
    assert {"registry", "build", "reload", "kernel_types", "graph_capture"} <= isolated
    assert "reference_against_onnx" in isolated
    assert not {"cases", "shape_function", "attributes"} & isolated


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(UsageError, match="PK221 there is no check 'shape'; expected among cases,"):
        chosen_checks(("shape",))


def outcome(run) -> CheckResult:
    return execute(Check("sample", 1, run), Subject(CircPad))


def fails(subject):
    raise Failure("here", 1, 2, cause="why", case=subject.cases[0])


def test_a_failure_becomes_a_result_with_a_script() -> None:
    result = outcome(fails)
    assert (result.status, result.where, result.got, result.expected) == (
        "failed",
        "here",
        "1",
        "2",
    )
    compile(result.script, "script", "exec")
    assert 'only=["sample"]' in result.script
    assert "CircPad" in result.script
    assert str(result) == (
        "failed   sample\n  Where:    here\n  Inputs:   x float32[2, 3, 16, 20]\n"
        "  Got:      1\n  Expected: 2\n  Cause:    why"
    )


def divides(subject):
    raise ZeroDivisionError("by zero")


def test_an_exception_of_the_plugin_is_a_failure_that_names_its_line() -> None:
    result = outcome(divides)
    assert (result.status, result.got) == ("failed", "ZeroDivisionError: by zero")
    assert "test_check.py" in result.where


def lacks(subject):
    raise NotRun("a moon")


def test_what_is_missing_is_never_passed() -> None:
    result = outcome(lacks)
    assert (result.status, result.remark) == ("not run", "a moon")
    missing = execute(Check("sample", 1, fails, needs=("onnx_op",)), Subject(CircPad))
    assert missing.status == "not run"
    assert "onnx_op is not set" in missing.remark
    without_cases = execute(Check("sample", 1, fails, needs=("cases",)), Subject(CircPad, []))
    assert without_cases.status == "not run"


def test_a_report_counts_raises_and_writes(tmp_path) -> None:
    report = CheckReport("CircPad", [CheckResult("a", "passed"), outcome(fails), outcome(lacks)])
    assert report.summary == "CircPad: 1 passed, 1 failed, 1 not run"
    with pytest.raises(CheckError, match=r"PK220 CircPad fails sample\.") as caught:
        report.raise_if_failed()
    assert isinstance(caught.value, AssertionError)
    assert "plugincheck(plugin, cases" in str(caught.value)
    (path,) = report.write_scripts(tmp_path / "scripts")
    assert path.name == "CircPad_sample.py"
    assert path.read_text() == report.results[1].script
    CheckReport("CircPad", [CheckResult("a", "passed"), outcome(lacks)]).raise_if_failed()
