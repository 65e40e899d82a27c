"""A process in which a callback failed reports the failure and then exits like any other."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

pytestmark = [pytest.mark.trt, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

BUILD_FAILURES = {
    "": "built",
    "output_types": "CallbackError PK204 FailsOnce: get_output_data_types failed",
    "output_shapes": "CallbackError PK204 FailsOnce: get_output_shapes failed",
    "output_shapes of numbers": "CallbackError PK204 FailsOnce: configure_plugin failed",
    "check": "CallbackError PK204 FailsOnce: configure_plugin failed",
    "check at min": "CallbackError PK204 FailsOnce: configure_plugin failed",
    "check at max": "CallbackError PK204 FailsOnce: configure_plugin failed",
    "exit in check": "SystemExit 7",
    "interrupt in check": "KeyboardInterrupt",
    "workspace_bytes": "CallbackError PK204 FailsOnce: get_workspace_size failed",
    "from_wire": "CallbackError PK204 FailsOnce: create_plugin failed",
    "to_wire": "CallbackError PK204 FailsOnce: get_fields_to_serialize failed",
}
LOAD_FAILURES = {
    "": "ran",
    "check": "CallbackError PK204 FailsOnce: ",
    "output_types": "CallbackError PK204 FailsOnce: get_output_data",
    "output_shapes": "CallbackError PK204 FailsOnce: get_output_",
    "workspace_bytes": "CallbackError PK204 FailsOnce: get_workspace_size failed",
    "enqueue": "CallbackError PK204 FailsOnce: enqueue failed",
    "exit in enqueue": "SystemExit 7",
    "interrupt in enqueue": "KeyboardInterrupt",
}


COMMAND = [sys.executable, "-m", "tests.integration.failing_process"]
Outcome = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Return a function that runs failing_process.py; it returns the exit code and last line."""
    folder, numbers = tmp_path_factory.mktemp("exits"), count()

    def run(*arguments: str) -> tuple[int, str]:
        printed = folder / str(next(numbers))
        server.stdin.write(json.dumps([str(printed), *arguments]) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), printed.read_text().splitlines()[-1]

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, "serve"], cwd=ROOT, **pipes) as server:
        yield run


def test_in_a_process_that_is_not_forked(rtx) -> None:
    done = subprocess.run(
        [*COMMAND, "build", "check", "0"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith(BUILD_FAILURES["check"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("index", ["0", "2"])
@pytest.mark.parametrize("fails", BUILD_FAILURES)
def test_after_a_build(rtx, outcome, fails: str, index: str) -> None:
    code, said = outcome("build", fails, index)
    assert said.startswith(BUILD_FAILURES[fails])
    assert code == 0


@pytest.mark.parametrize("fails", LOAD_FAILURES)
def test_after_a_driven_load(flavour, interface, outcome, fails: str) -> None:
    code, said = outcome("load", flavour.name, interface, fails)
    assert said.startswith(LOAD_FAILURES[fails])
    assert code == 0


def test_after_a_damaged_payload(flavour, interface, outcome) -> None:
    code, said = outcome("read_damaged", flavour.name, interface)
    assert said.startswith("CallbackError PK204 FailsOnce: ")
    assert code == 0
