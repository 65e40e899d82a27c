"""Run checks in a child process, so that a crash ends only the child."""

from __future__ import annotations

import faulthandler
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from pluginkit.checking.check import Check, all_checks
from pluginkit.checking.check_report import CheckResult
from pluginkit.checking.outcomes import Failure
from pluginkit.checking.plugin_under_test import MemoryKind, Subject
from pluginkit.checking.run_check import execute, failed
from pluginkit.isolation.child_process import ChildProcess
from pluginkit.isolation.class_location import ClassLocation, location_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pluginkit.contract.plugin import Case

#: The longest that one check may take, in seconds.
TIME_LIMIT, PATIENT_TIME_LIMIT = 600.0, 6 * 3600.0

#: The likely cause of a crash, by a word in the name of the Python function that was running.
_CAUSES = (
    (
        "register",
        "the registry kills the process for a creator whose plugin_namespace is not set, or that "
        "has no field_names.",
    ),
    (
        "_build",
        "the parser and the builder kill the process when plugin_name is not set, when clone() or "
        "attach_to_context() returns None or the same object, or when capability interfaces are "
        "different objects, which they free twice.",
    ),
    ("enqueue", "enqueue touched memory that is not its own."),
    ("synchronize", "a kernel touched memory that is not its own."),
)


@dataclass(frozen=True)
class _Start:
    """The second message to a worker: what it can read only once it has imported the class."""

    cases: Sequence[Case]
    memory: MemoryKind
    is_patient: bool


class CheckWorker:
    """A process that runs checks of one plugin, one after another.

    Errors:
        PK222: the class cannot be imported by another process.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        start = _Start(subject.cases, subject.memory, subject.is_patient)
        self._unsent = [location_of(subject.plugin_class), start]
        self._process = ChildProcess(__name__)

    def run(self, check: Check) -> CheckResult:
        """Run one check there; a crash, a hang or a broken import becomes its CheckResult."""
        try:
            while self._unsent:
                self._process.connection.send(self._unsent.pop(0))
            self._process.connection.send(check.name)
            limit = PATIENT_TIME_LIMIT if self._subject.is_patient else TIME_LIMIT
            if not self._process.connection.poll(limit):
                self._process.kill()
                hang = Failure("its own process", f"no end after {limit:.0f} s", "an end")
                return failed(check, self._subject, hang, limit)
            result: CheckResult = self._process.connection.recv()
            return result
        except (EOFError, OSError):
            return failed(check, self._subject, self._crash(), 0.0)

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _crash(self) -> Failure:
        how, lines = self._process.death(), self._process.log()
        frames = [line.strip() for line in lines if line.lstrip().startswith("File ")]
        running = frames[0] if frames else "an unknown place"
        stack = " ".join(frame.rpartition(" in ")[2] for frame in frames)
        causes = [text for word, text in _CAUSES if word in stack]
        log = [line for line in lines if line and not line.startswith("Extension modules")][-12:]
        return Failure(
            running,
            f"the process {how}",
            "a process that lives",
            cause="\n".join([*causes[:1], *log]),
        )


def main(fd: int) -> None:
    """Serve checks over the socket ``fd`` until the other end closes."""
    faulthandler.enable()
    with Connection(fd) as connection:
        location: ClassLocation = connection.recv()
        plugin_class = location.load()
        start: _Start = connection.recv()
        subject = Subject(plugin_class, start.cases, start.memory, is_patient=start.is_patient)
        while True:
            try:
                name = connection.recv()
            except (EOFError, OSError):
                break
            connection.send(execute(all_checks()[name], subject))
    # At exit TensorRT may free plugins in an order that crashes, so this process skips that.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
