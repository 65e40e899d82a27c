"""Ask TensorRT about a model in child processes; when one dies, the next goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from pluginkit.current_work import scratch_prefix
from pluginkit.engine.parse.refused_nodes import ParserFindings
from pluginkit.engine.parse.traceable_model import number_of
from pluginkit.engine.scan import scan_worker
from pluginkit.engine.scan.scan_worker import (
    ModelBuilt,
    NodeRefused,
    NodesBuilt,
    ScanQuestion,
    Task,
)
from pluginkit.isolation.child_process import ChildProcess

#: The longest that the parser may take for one node, or the builder for one model, in seconds.
TIME_LIMIT = 600.0


@dataclass
class ScanAnswer:
    """TensorRT's answer about a model.

    Attributes:
        findings: the parser's answer.
        unbuildable: why a node that parses does not build, by the node's number.
        is_built: whether what the parser takes was built as one model; None if that was not tried.
        build_note: why it was not tried although the question says so.
    """

    findings: ParserFindings = field(default_factory=ParserFindings)
    unbuildable: dict[int, str] = field(default_factory=dict)
    is_built: bool | None = None
    build_note: str = ""


def ask(question: ScanQuestion, model: onnx.ModelProto) -> ScanAnswer:
    """Ask TensorRT about a model; after a node that kills the process, another process goes on.

    Errors:
        PK550 and those of load_flavour and register: there is no TensorRT to ask.
    """
    data = model.SerializeToString()
    with tempfile.NamedTemporaryFile(prefix=scratch_prefix("scan")) as progress:
        session = _ScanSession(question, data, Path(progress.name))
        while not session.run():
            pass
    return session.answer


class _ScanSession:
    def __init__(self, question: ScanQuestion, data: bytes, progress: Path) -> None:
        self.answer = ScanAnswer()
        self._question = question
        self._data = data
        self._progress = progress
        self._refusals: dict[str, str] = {}
        self._node_builds: dict[str, str] = {}
        self._build_problem: str | None = None
        self._is_parsed = False

    def run(self) -> bool:
        """Let a process work; return whether the answer is complete."""
        self._progress.write_bytes(b"")
        child = ChildProcess(scan_worker.__name__)
        try:
            child.connection.send(
                Task(
                    self._question,
                    self._progress,
                    self._refusals,
                    self._build_problem,
                    self._node_builds,
                )
            )
            child.connection.send_bytes(self._data)
            while child.connection.poll(TIME_LIMIT):
                message = child.connection.recv()
                if message is None:
                    self._finish()
                    return True
                self._take(message)
            return self._died(f"did not finish in {TIME_LIMIT:.0f} s", child.log())
        except (EOFError, OSError):
            return self._died(child.death(), child.log())
        finally:
            child.kill()
            child.close()

    def _take(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, NodeRefused):
            self._refusals[message.name] = message.reason
        elif isinstance(message, ParserFindings):
            self.answer.findings = message
            self._is_parsed = True
        elif isinstance(message, ModelBuilt):
            self._build_problem, self.answer.build_note = message.problem, message.note
        elif isinstance(message, NodesBuilt):
            self._node_builds |= dict.fromkeys(message.names, message.reason)

    def _finish(self) -> None:
        for name, reason in self._node_builds.items():
            number = number_of(name)
            if reason and number is not None:
                self.answer.unbuildable[number] = reason
        if self._build_problem is None:
            return
        self.answer.is_built = not self._build_problem
        if self._build_problem and not self.answer.unbuildable:
            self.answer.findings.problems.append(
                "it parses and does not build, and each node builds in a model of one node: "
                f"{self._build_problem}"
            )

    def _died(self, how: str, log: Sequence[str]) -> bool:
        """Blame what a dead process was working on; return whether another process is pointless."""
        name = self._progress.read_bytes().rstrip(b"\0").decode(errors="replace")
        is_node = number_of(name) is not None
        reason = f"TensorRT {how}."
        if self._is_parsed and name == scan_worker.WHOLE_MODEL:
            self._build_problem = reason
        elif self._is_parsed and is_node and name not in self._node_builds:
            self._node_builds[name] = reason
        elif not self._is_parsed and is_node and name not in self._refusals:
            self._refusals[name] = reason
        else:
            last = "\n".join(line for line in log[-8:] if line)
            self.answer.findings.problems.append(f"{reason}\n{last}".strip())
            return True
        self._is_parsed = False
        return False
