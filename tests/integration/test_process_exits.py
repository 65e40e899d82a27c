"""A process in which a callback failed reports the failure and then exits like any other."""

import subprocess
import sys
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
    "check at opt": "CallbackError PK204 FailsOnce: configure_plugin failed",
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


def outcome(*arguments: str) -> tuple[int, str]:
    """Run failing_process.py; return its exit code, negative for a signal, and its last line."""
    command = [sys.executable, "-m", "tests.integration.failing_process", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stdout.splitlines() or [done.stderr[-2000:]])[-1]


@pytest.mark.parametrize("index", ["0", "2"])
@pytest.mark.parametrize("fails", BUILD_FAILURES)
def test_after_a_build(rtx, fails: str, index: str) -> None:
    code, said = outcome("build", fails, index)
    assert said.startswith(BUILD_FAILURES[fails])
    assert code == 0


@pytest.mark.parametrize("fails", LOAD_FAILURES)
def test_after_a_driven_load(flavour, interface, fails: str) -> None:
    code, said = outcome("load", flavour.name, interface, fails)
    assert said.startswith(LOAD_FAILURES[fails])
    assert code == 0


def test_after_a_damaged_payload(flavour, interface) -> None:
    code, said = outcome("read_damaged", flavour.name, interface)
    assert said.startswith("CallbackError PK204 FailsOnce: ")
    assert code == 0
