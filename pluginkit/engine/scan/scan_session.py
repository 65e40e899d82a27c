"""Asks TensorRT about a model in child processes, one after another where they die."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from pluginkit.engine.parse.refused_nodes import Findings
from pluginkit.engine.parse.traceable_model import number_of
from pluginkit.engine.scan import scan_worker
from pluginkit.engine.scan.scan_worker import Question, Refused, Task, Tried, Whole
from pluginkit.isolation.child_process import ChildProcess

#: The longest that the parser may take for one node, or the builder for one model, in seconds.
TIME_LIMIT = 600.0


@dataclass
class Answer:
    """What TensorRT makes of a model.

    Attributes:
        findings: what the parser says.
        unbuildable: why it parses and does not build, by the node's number.
        is_built: whether what the parser takes was built as one; None where that was not tried.
        build_note: why it was not, though it was asked for.
    """

    findings: Findings = field(default_factory=Findings)
    unbuildable: dict[int, str] = field(default_factory=dict)
    is_built: bool | None = None
    build_note: str = ""


def ask(question: Question, model: onnx.ModelProto) -> Answer:
    """Put a model to TensorRT. What kills a process is cut out, and the next one is asked.

    Errors:
        PK550 and those of load_flavour and register: there is no TensorRT to ask.
    """
    data = model.SerializeToString()
    with tempfile.NamedTemporaryFile(prefix="pluginkit_scan_") as at:
        session = _Session(question, data, Path(at.name))
        while not session.run():
            pass
    return session.answer


class _Session:
    def __init__(self, question: Question, data: bytes, at: Path) -> None:
        self.answer = Answer()
        self._question = question
        self._data = data
        self._at = at
        self._known: dict[str, str] = {}
        self._tried: dict[str, str] = {}
        self._problem: str | None = None  # of the whole model's build
        self._is_parsed = False

    def run(self) -> bool:
        """Let a process work; whether it came to its end."""
        self._at.write_bytes(b"")
        child = ChildProcess(scan_worker.__name__)
        try:
            task = Task(self._question, self._at, self._known, self._problem, self._tried)
            child.connection.send(task)
            child.connection.send_bytes(self._data)
            while child.connection.poll(TIME_LIMIT):
                message = child.connection.recv()
                if message is None:
                    self._finish()
                    return True
                self._take(message)
            return self._died(f"came to no end in {TIME_LIMIT:.0f} s", child.log())
        except (EOFError, OSError):
            return self._died(child.death(), child.log())
        finally:
            child.kill()
            child.close()

    def _take(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Refused):
            self._known[message.name] = message.reason
        elif isinstance(message, Findings):
            self.answer.findings = message
            self._is_parsed = True
        elif isinstance(message, Whole):
            self._problem, self.answer.build_note = message.problem, message.note
        elif isinstance(message, Tried):
            self._tried |= dict.fromkeys(message.names, message.reason)

    def _finish(self) -> None:
        for name, reason in self._tried.items():
            number = number_of(name)
            if reason and number is not None:
                self.answer.unbuildable[number] = reason
        if self._problem is None:
            return
        self.answer.is_built = not self._problem
        if self._problem and not self.answer.unbuildable:
            self.answer.findings.problems.append(
                f"it parses and does not build, and no node alone shows why: {self._problem}"
            )

    def _died(self, how: str, log: Sequence[str]) -> bool:
        """Learn from a dead process; whether there is no use in another one."""
        name = self._at.read_bytes().rstrip(b"\0").decode(errors="replace")
        reason = f"TensorRT {how}."
        if self._is_parsed and name == scan_worker.WHOLE_MODEL:
            self._problem = reason
        elif self._is_parsed and name not in self._tried and number_of(name) is not None:
            self._tried[name] = reason
        elif not self._is_parsed and name not in self._known and number_of(name) is not None:
            self._known[name] = reason
        else:
            last = "\n".join(line for line in log[-8:] if line)
            self.answer.findings.problems.append(f"{reason}\n{last}".strip())
            return True
        self._is_parsed = False
        return False
