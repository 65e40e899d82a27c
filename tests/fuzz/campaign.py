"""Run the campaign: number the inputs, run them in workers that may die, and summarize.

Input ``i`` of a seed depends only on these two numbers, so a campaign can be split and resumed, and
any single input can be run again. Every input runs in a worker process: the file formats' and
TensorRT's own parsers are C++, and an input that kills a worker has that as its outcome.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import random
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: For each target, its share of a hundred inputs, and its module.
SHARES = {
    "rewrite": (12, "targets_models"),
    "integers": (2, "targets_integers"),
    "exported": (8, "targets_models"),
    "scan": (2, "targets_models"),
    "compare": (6, "targets_models"),
    "parse": (7, "targets_models"),
    "operator": (10, "targets_models"),
    "command": (3, "targets_models"),
    "attributes": (13, "targets_values"),
    "declaration": (8, "targets_values"),
    "option_texts": (6, "targets_values"),
    "launch": (6, "targets_values"),
    "manifest": (7, "targets_files"),
    "arrays": (3, "targets_files"),
    "names": (4, "targets_files"),
    "arguments": (3, "targets_files"),
}
_SCHEDULE = [name for name, (share, _) in SHARES.items() for _ in range(share)]
#: A worker is replaced after this many inputs, because TensorRT never frees registered plugins.
_BATCH = 500
#: C++ cannot be interrupted by a signal's handler, so a silent worker is killed.
_SILENCE_S = 40
_MEMORY_BYTES = 24 * 2**30
VIOLATIONS = ("violation", "crash", "hang")


@dataclass(frozen=True)
class Result:
    """One input's outcome: a word, or ``violation``, ``crash`` or ``hang`` with details."""

    index: int
    target: str
    outcome: str
    detail: str = ""


def target_of(index: int) -> str:
    """Return the target of an input; any hundred consecutive inputs have every target's share."""
    return _SCHEDULE[index * 37 % 100]


def run_input(seed: int, index: int, box: Any) -> Result:
    """Run one input in this process."""
    from importlib import import_module

    from tests.fuzz.oracle import Violation

    target = target_of(index)
    function: Callable[[random.Random, Any], str] = getattr(
        import_module(f"tests.fuzz.{SHARES[target][1]}"), target
    )
    rng = random.Random(f"{seed} {target} {index}")  # noqa: S311  # reproducible, not secret
    try:
        return Result(index, target, function(rng, box))
    except Violation as violation:
        return Result(index, target, "violation", str(violation))


def work(seed: int, report: int) -> None:
    """Work as a child: read indices from stdin, one a line; write each index, then its result."""
    import warnings

    from tests.fuzz.oracle import sandbox

    warnings.simplefilter("ignore")
    sys.setswitchinterval(0.005)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with sandbox() as box:
        for line in sys.stdin:
            os.write(report, b"+\n")
            result = run_input(seed, int(line), box)
            os.write(report, json.dumps(asdict(result)).encode() + b"\n")


class _Worker:
    def __init__(self, seed: int, log: Path) -> None:
        reader, writer = os.pipe()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--worker", str(writer)],
                stdin=subprocess.PIPE, stdout=errors, stderr=errors, cwd=ROOT, pass_fds=[writer],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PLUGINKIT_TENSORRT": "tensorrt_rtx",
                     "OMP_NUM_THREADS": "1", "TMPDIR": str(log.parent)},
            )  # fmt: skip
        os.close(writer)
        self._reader = os.fdopen(reader, "rb", buffering=0)
        self._log = log
        self._left = b""

    def run(self, index: int) -> Result | None:
        """Return the input's result; None if the worker died before it began."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"%d\n" % index)
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._died(index)
        while True:
            line = self._line()
            if line is None:
                return self._died(index)
            if line.startswith(b"{"):
                return Result(**json.loads(line))

    def _line(self) -> bytes | None:
        while b"\n" not in self._left:
            ready, _, _ = select.select([self._reader], [], [], _SILENCE_S)
            chunk = os.read(self._reader.fileno(), 65536) if ready else b""
            if not chunk:
                return None
            self._left += chunk
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _died(self, index: int) -> Result:
        code = self._process.poll()
        time.sleep(0.2)
        code = self._process.poll() if code is None else code
        target = target_of(index)
        if code is None:
            self.stop()
            return Result(index, target, "hang", f"silent for {_SILENCE_S} s")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        log = self._log.read_bytes()[-600:].decode(errors="replace")
        return Result(index, target, "crash", f"{name}: {log}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._reader.close()


def run(
    seed: int, indices: Iterable[int], workers: int, folder: Path, done: Callable[[Result], None]
) -> None:
    """Run inputs on several workers; ``done`` receives each result, in any order."""
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in indices:
        todo.put(index)
    lock = threading.Lock()

    def drive(number: int) -> None:
        worker: _Worker | None = None
        count = 0
        try:
            while True:
                try:
                    index = todo.get_nowait()
                except queue.Empty:
                    return
                if worker is None:
                    worker, count = _Worker(seed, folder / f"worker{number}.log"), 0
                result = worker.run(index)
                count += 1
                with lock:
                    done(result)
                if result.outcome in ("crash", "hang") or count >= _BATCH:
                    worker.stop()
                    worker = None
        finally:
            if worker is not None:
                worker.stop()

    threads = [threading.Thread(target=drive, args=[number]) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def summary(results: Iterable[Result]) -> Iterator[str]:
    """Yield a Markdown table with the inputs, outcomes and violations of each target."""
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for result in results:
        outcomes[result.target][result.outcome] += 1
    yield "| target | inputs | violations | crashes | hangs | outcomes |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    total = collections.Counter(dict.fromkeys(["inputs", *VIOLATIONS], 0))
    for target in SHARES:
        counts = outcomes[target]
        wrong = [counts.pop(name, 0) for name in VIOLATIONS]
        inputs = sum(counts.values()) + sum(wrong)
        listed = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        yield f"| {target} | {inputs} | {wrong[0]} | {wrong[1]} | {wrong[2]} | {listed} |"
        total.update(inputs=inputs, **dict(zip(VIOLATIONS, wrong, strict=True)))
    numbers = " | ".join(str(total[name]) for name in ("inputs", *VIOLATIONS))
    yield f"| all | {numbers} | |"
