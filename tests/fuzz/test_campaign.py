"""Run a fixed slice of the campaign, and check that the oracle sees violations."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pluginkit.errors import ModelError
from tests.fuzz import campaign, oracle
from tests.fuzz.oracle import Sandbox, Violation

pytestmark = pytest.mark.trt
#: Another seed than that of the recorded run, so that both together cover more.
SEED = 7


def outcomes_of(inputs: range, folder: Path) -> set[str]:
    """Run inputs, none of which violates anything."""
    results: list[campaign.Result] = []
    campaign.run(SEED, inputs, 2, folder, results.append)
    assert sorted(result.index for result in results) == list(inputs)
    assert [result for result in results if result.outcome in campaign.VIOLATIONS] == []
    return {result.outcome for result in results}


@pytest.mark.slow
def test_a_slice_has_no_violation(tmp_path: Path) -> None:
    assert {"ok", "PK104", "PK401", "PK408", "PK532"} <= outcomes_of(range(300), tmp_path)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_long_slice_has_no_violation(tmp_path: Path) -> None:
    assert {
        "ok",
        "PK104",
        "PK401",
        "PK403",
        "PK404",
        "PK405",
        "PK408",
        "PK446",
        "PK532",
        "PK533",
    } <= outcomes_of(range(300, 2000), tmp_path)


def test_a_hundred_inputs_have_every_target_by_its_share() -> None:
    targets = [campaign.target_of(index) for index in range(300, 400)]
    assert {name: targets.count(name) for name in campaign.SHARES} == {
        name: share for name, (share, _) in campaign.SHARES.items()
    }


def test_an_input_is_reproducible() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--input", "26"]
    runs = [
        subprocess.run(command, cwd=campaign.ROOT, capture_output=True, text=True) for _ in range(2)
    ]
    assert runs[0].stdout.startswith("Result(index=26")
    assert runs[0].stdout == runs[1].stdout


@pytest.mark.slow
def test_results_are_resumed_and_parts_add_up(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    for part, seen in (("1/2", 5), ("2/2", 10), ("2/2", 10)):
        command = [sys.executable, "-m", "tests.fuzz", "--count", "10", "--part", part]
        done = subprocess.run(
            [*command, "--results", results], cwd=campaign.ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
        assert len(results.read_text().splitlines()) == seen
    assert "| all | 10 | 0 | 0 | 0 | |" in done.stdout
    assert "0 inputs in" in done.stdout


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with oracle.sandbox() as made:
        yield made


def violation(call: Callable[[], object]) -> str:
    with pytest.raises(Violation) as caught:
        call()
    return str(caught.value)


def test_the_oracle_sees_other_exceptions_than_ours(box: Sandbox) -> None:
    def fail() -> None:
        raise KeyError("x")

    def refuse() -> None:
        raise ModelError("PK400", "x is y; expected z.")

    with box.case():
        assert "KeyError" in violation(lambda: box.call(fail))
        assert box.call(refuse) == ("PK400", None)
        assert box.call(lambda: 5) == ("ok", 5)


def test_the_oracle_sees_files_read_outside_by_python_and_by_c(box: Sandbox) -> None:
    secret = box.outside / "secret.bin"

    def from_c() -> None:
        import onnxruntime

        with pytest.raises(Exception, match="protobuf|INVALID"):
            onnxruntime.InferenceSession(str(secret), providers=["CPUExecutionProvider"])

    with box.case():
        assert "secret.bin" in violation(lambda: box.call(secret.read_bytes))
        assert "outside" in violation(lambda: box.call(from_c))
        assert box.call(secret.stat)[0] == "ok"


def test_the_oracle_sees_code_that_runs(box: Sandbox) -> None:
    with box.case() as folder:
        (folder / "evil.py").write_text("x = 1\n")
        code = compile("x = 1", str(folder / "evil.py"), "exec")
        assert "exec" in violation(lambda: box.call(exec, code, {}))
        assert "os.system" in violation(lambda: box.call(os.system, "true"))


def test_the_oracle_sees_left_over_and_changed_files(box: Sandbox) -> None:
    with box.case() as folder:
        (folder / "kept").write_text("old")
        assert "part" in violation(lambda: box.call((folder / "x.part").write_text, "half"))
        assert "kept" in violation(lambda: box.call((folder / "kept").write_text, "changed"))
        assert "kept" in violation(lambda: box.call((folder / "kept").unlink))


def test_the_oracle_sees_a_hang(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "TIME_LIMIT_S", 0.05)
    with box.case():
        assert "took more than" in violation(lambda: box.call(time.sleep, 5))


@pytest.mark.parametrize(
    ("main", "seen"),
    [
        (lambda argv: 3, "exit code 3"),
        (lambda argv: sys.stdout.write("Traceback (most recent") and 0, "Traceback"),
        (lambda argv: sys.stdout.write("\x1b[31m") and 0, "control character"),
        (lambda argv: Path("new").touch() or 1, "files changed"),
        (lambda argv: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_the_oracle_sees_a_command_misbehave(
    main: Callable[[list[str]], int], seen: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracle, "main", lambda argv: main(argv) or 0)
    with box.case():
        assert seen in violation(lambda: box.command(["list"], ["new"]))


def test_a_worker_that_dies_is_a_crash(tmp_path: Path) -> None:
    worker = campaign._Worker(0, tmp_path / "log")
    assert worker.run(26) is not None
    os.kill(worker._process.pid, signal.SIGSEGV)
    worker._process.wait()
    result = worker.run(27)
    worker.stop()
    assert result is not None
    assert (result.outcome, result.index) == ("crash", 27)
    assert result.detail.startswith("SIGSEGV")
