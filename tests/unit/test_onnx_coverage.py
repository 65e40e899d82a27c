"""The harness that judges ONNX's node tests, without building anything, and the page it writes."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import onnx_coverage
import pytest
from onnx_coverage_attempt import Outcome, base_tests, is_importable
from onnx_coverage_table import page_from_document

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def document():
    return json.loads((BENCHMARKS / "results" / "coverage.json").read_text())


class Script:
    """A worker that knows what comes of each attempt."""

    def __init__(self, outcomes):
        self.outcomes = outcomes
        self.made = []

    def run(self, attempt):
        self.made.append((attempt.level, attempt.is_stored))
        return self.outcomes.get(self.made[-1], Outcome("no rewrite fits"))


@pytest.mark.slow
def test_the_tests_are_those_whose_types_tensorrt_imports():
    every = base_tests()
    kept = [name for name, test in every.items() if is_importable(test.model)]
    assert 1000 < len(kept) < len(every)  # each release of onnx adds some
    assert "test_add" in kept
    assert not {"test_acos_example_expanded", "test_adam", "test_equal_string"} & set(kept)


@pytest.mark.slow
def test_the_least_that_is_needed_is_the_status():
    script = Script({("native", True): Outcome()})
    row = onnx_coverage.judge("test_add", script)
    assert script.made == [("native", False), ("native", True)]
    assert (row.op, row.status, row.is_stored, row.refusal) == (
        "Add",
        "native",
        True,
        "no rewrite fits",
    )
    good = Outcome("", ("ReplaceAdd",), "onnxruntime")
    row = onnx_coverage.judge("test_add", Script({("plugin", False): good}))
    assert (row.status, row.rewrites, row.evaluator) == ("plugin", ("ReplaceAdd",), "onnxruntime")


@pytest.mark.slow
def test_what_is_left_says_why_it_is_refused_and_what_the_best_attempt_came_to():
    wrong = Outcome("it builds; but 3 is not 4", ("ReplaceAdd",))
    row = onnx_coverage.judge(
        "test_add", Script({("native", False): Outcome("no Add"), ("plugin", True): wrong})
    )
    assert (row.status, row.refusal, row.problem) == ("left", "no Add", wrong.problem)


@pytest.mark.slow
def test_a_process_that_dies_fails_its_attempt_alone():
    worker = onnx_coverage.Worker()
    try:
        os.kill(worker._process.pid, signal.SIGSEGV)
        # The reason that needs none of onnx's tests, which take the process five seconds to make.
        died, no_attempt = worker.run(None), worker.run(None)
        assert died == Outcome("the process died of SIGSEGV.")
        assert no_attempt == Outcome("AttributeError: 'NoneType' object has no attribute 'test'")
    finally:
        worker.close()


def test_reasons_are_one_short_line_without_folders():
    assert onnx_coverage.shortened("no\n  /tmp/tmpab12/model.onnx here") == "no model.onnx here"
    assert len(onnx_coverage.shortened("word " * 1000)) == 400


def test_the_page_is_made_from_the_results(document):
    assert (BENCHMARKS / "coverage.md").read_text() == page_from_document(document)


def test_the_results_are_of_every_test_and_reach_what_they_should(document):
    found = Counter(row["status"] for row in document["rows"])
    assert found.total() == 1112
    assert found["native"] + found["rewritten"] + found["plugin"] >= 850


def test_no_rewrite_touches_what_tensorrt_builds(document):
    native = [row for row in document["rows"] if row["status"] == "native"]
    assert len(native) > 600
    # TensorRT refuses Elu of signals, and uint8 and int8, only next to some other operators; sizes
    # that are known are stored in every model, for the other rewrites.
    wider = {"CarryIntegers", "ExpandElu", "FoldKnown"}
    assert [row["test"] for row in native if set(row["rewrites"]) - wider] == []
