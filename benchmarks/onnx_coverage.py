"""Which of ONNX's own node tests TensorRT-RTX builds: unchanged, rewritten, and with plugins.

    python benchmarks/onnx_coverage.py [--only REGEX] [--limit N] [--keep STATUS ...]

Needs no GPU. Two processes make the attempts; if one dies or hangs, only that attempt fails.
Results are written as they come. ``--keep`` skips tests that already have one of these statuses:
pass every status to continue a run that was interrupted, and ``native`` after a change to a
rewrite.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx_coverage_attempt import LEVELS, Attempt, Outcome, base_tests, is_importable, serve
from onnx_coverage_table import page_from_document
from record import RESULTS, host_environment, record

NAME = "coverage"
PAGE = Path(__file__).parent / "coverage.md"
STATUSES = (*LEVELS, "left")
PROCESSES = 2
SECONDS_PER_ATTEMPT = 120.0
_SAVE_EVERY = 25
_LONGEST_REASON = 400


@dataclass(frozen=True)
class Row:
    """The result of one test.

    Attributes:
        test: its name.
        op: its operators.
        status: the first level at which it builds and reproduces the expected outputs, or left.
        is_stored: whether all inputs but the first had to be stored in the model.
        rewrites: the applied rewrites; for a native test those that would apply, which are none.
        evaluator: the program that computed the rewritten model's outputs.
        refusal: why TensorRT does not build the unchanged model.
        problem: why no level works, for a test that is left.
    """

    test: str
    op: str
    status: str
    is_stored: bool = False
    rewrites: tuple[str, ...] = ()
    evaluator: str = ""
    refusal: str = ""
    problem: str = ""


class Worker:
    """A process that makes attempts; a new one replaces it if it dies or hangs."""

    def __init__(self) -> None:
        self._log = Path(tempfile.mkstemp(prefix="coverage-", suffix=".log")[1])
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, str(self._log)), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, attempt: Attempt) -> Outcome:
        """Make an attempt in the process."""
        try:
            self._connection.send(attempt)
            if self._connection.poll(SECONDS_PER_ATTEMPT):
                outcome: Outcome = self._connection.recv()
                return outcome
            problem = f"no end after {SECONDS_PER_ATTEMPT:.0f} s."
        except (EOFError, OSError):
            problem = ""
        if problem:
            self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        died = f"the process died of {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
        self._connection.close()
        self._start()
        return Outcome(problem or f"{died}.")

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()
        self._log.unlink()


def judge(test: str, worker: Worker) -> Row:
    """Return the row of a test, after trying the levels from the least to the most change."""
    operators = ", ".join(dict.fromkeys(n.op_type for n in base_tests()[test].model.graph.node))
    failed: list[Outcome] = []
    for level in LEVELS:
        for is_stored in (False, True):
            outcome = worker.run(Attempt(test, level, is_stored))
            refusal = shortened(failed[0].problem) if failed else ""
            if not outcome.problem:
                rewrites, evaluator = outcome.rewrites, outcome.evaluator
                return Row(test, operators, level, is_stored, rewrites, evaluator, refusal)
            failed.append(outcome)
    rewritten = [each for each in failed[2:] if each.rewrites]
    problem = shortened((rewritten or failed[2:])[0].problem)
    return Row(test, operators, "left", refusal=refusal, problem=problem)


def shortened(reason: str) -> str:
    """Return a message as one line, without the folder of the model."""
    text = " ".join(re.sub(r"/\S*/tmp\S*/", "", reason).split())
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def judged(tests: list[str]) -> Iterator[Row]:
    """Yield a row for each test, as they finish."""
    workers = threading.local()
    every: list[Worker] = []

    def one(test: str) -> Row:
        if not hasattr(workers, "mine"):
            workers.mine = Worker()
            every.append(workers.mine)
        return judge(test, workers.mine)

    with ThreadPoolExecutor(PROCESSES) as pool:
        futures = [pool.submit(one, test) for test in tests]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            for worker in every:
                worker.close()


def rows_there() -> dict[str, dict[str, Any]]:
    """Return the rows of the last run, by test."""
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return {row["test"]: row for row in rows}


def save(rows: dict[str, dict[str, Any]]) -> None:
    """Write the results and the page."""
    ordered = [rows[test] for test in sorted(rows)]
    record(NAME, host_environment(), ordered)
    document = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    PAGE.write_text(page_from_document(document), encoding="utf-8")


def main() -> None:
    """Run the chosen tests, and keep the rows of the others."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="a regular expression of tests' names")
    parser.add_argument("--limit", type=int, help="how many tests at most")
    parser.add_argument("--keep", nargs="*", default=[], choices=STATUSES, metavar="STATUS")
    arguments = parser.parse_args()
    every = [name for name, test in base_tests().items() if is_importable(test.model)]
    rows = {test: row for test, row in rows_there().items() if test in every}
    wanted = [
        test
        for test in every
        if re.search(arguments.only, test)
        and (test not in rows or rows[test]["status"] not in arguments.keep)
    ][: arguments.limit]
    print(f"{len(base_tests())} tests, {len(every)} of importable types, {len(wanted)} to run")
    for number, row in enumerate(judged(wanted), 1):
        rows[row.test] = asdict(row)
        detail = row.problem if row.status == "left" else ", ".join(row.rewrites)
        print(f"{number:5} {row.status:9} {row.test}  {detail}", flush=True)
        if number % _SAVE_EVERY == 0:
            save(rows)
    save(rows)


if __name__ == "__main__":
    main()
