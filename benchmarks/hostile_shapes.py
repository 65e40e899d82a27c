"""Every plugin and its peers on inputs that nobody tuned for, on a GPU.

    python benchmarks/hostile_shapes.py
    python benchmarks/hostile_shapes.py dft unique --seed 7 --json FILE

A benchmark's module has, beside its CASES, HOSTILE shapes and a function ``drawn``, whose bounds
its docstring states. Each run measures the hostile ones and four that it draws, so that no kernel
can be made for them; ``--seed`` draws those of another run again. Of a hostile case the first
workload is measured, and one of its others that depends on its name alone; of a drawn one any. One
that takes more than 0.95 of the fastest peer's time is measured three times, and the run counts
whose ratio is in the middle. With names, the rows of other plugins stay in the file.

Plugins run in processes beside each other, and only their timed passes take turns. Every result
is compared: with the reference or, where that needs more than two seconds, with a peer's result.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from queue import Empty, Queue
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hostile_table import summary_line
from record import RESULTS, host_environment, record

from pluginkit.bench.bench_report import Measurement
from pluginkit.bench.workload import Peer, Workload

#: The benchmarks that take longest, which begin first.
LONGEST = (
    *("rms_norm", "layer_norm", "swi_glu", "scatter_nd", "scatter_elements", "antialias_resize"),
    *("tree_ensemble", "max_pool", "rotary_embedding", "grid_sample"),
)
#: How the benchmark of a plugin ends.
_RUNS = re.compile(r"^    raise SystemExit\(run_bench\(", re.MULTILINE)
_DRAWN = 4
#: Passes over fewer buffer sets than a benchmark's own take turns more often.
_MOST_SETS = 32
_REFERENCE_SECONDS = 2.0
#: Runs with a larger ratio may fall on either side of 1, so that there are three.
_NEAR = 0.95
#: Modes of torch.compile that take minutes are left to the benchmarks.
_LEFT_OUT = ("max-autotune",)


def benchmark_names() -> list[str]:
    """Return the benchmarks that have hostile shapes."""
    texts = {path.stem: path.read_text() for path in Path(__file__).parent.glob("*.py")}
    names = [name for name, text in texts.items() if "HOSTILE" in text and _RUNS.search(text)]
    return list(dict.fromkeys((*LONGEST, *sorted(names))))


def workloads_of(name: str, seed: int) -> Iterator[Workload]:
    """Yield the workloads of a benchmark: two of each hostile case, one of each drawn one."""
    module, rng = import_module(name), Random(f"{name} {seed}")
    for case, given in module.HOSTILE.items():
        first, *others = module.workloads({case: given})
        yield first
        if others:
            yield Random(f"{name} {case}").choice(others)
    for number in range(_DRAWN):
        yield rng.choice(list(module.workloads({f"drawn {number + 1}": module.drawn(rng)})))


def peers_of(name: str) -> list[Peer]:
    """Return the peers of a benchmark."""
    return [peer for peer in import_module(name).PEERS if peer.name not in _LEFT_OUT]


def row_of(plugin: str, found: Sequence[Measurement]) -> dict[str, Any]:
    """Return what the measurements of one workload say."""
    own, *peers = found
    times = {each.implementation: each.device_us for each in peers if each.device_us}
    fastest = min(times, key=times.__getitem__, default=None)
    kept = ("case", "variant", "dtype", "shapes", "status", "note", "error", "floor_us")
    measured = asdict(own)
    row = {"plugin": plugin, **{key: measured[key] for key in kept}, "device_us": own.device_us}
    row["peers"] = {
        each.implementation: each.device_us or f"{each.status}: {each.note}" for each in peers
    }
    if fastest and own.device_us:
        row |= {"fastest": fastest, "ratio": own.device_us / times[fastest]}
    return row


def middle_row(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the row that it measures; that of three with the middle ratio where it is close."""
    row = measure()
    if row.get("ratio", 0.0) <= _NEAR:
        return row
    rows = sorted((row, measure(), measure()), key=lambda row: row.get("ratio", math.inf))
    return rows[1] if "ratio" in rows[2] else rows[2]  # what fails at times has failed


def _measure(name: str, seed: int, turns: Path) -> None:
    """Print the machine, and then a row for each workload, as lines of JSON."""
    from pluginkit.bench.gpu_timer import GpuTimer, Passes
    from pluginkit.bench.run_benchmark import WorkloadBench
    from pluginkit.trt.flavour import load_flavour

    passes = Passes(most=11, fewest=2, seconds=0.05, warm_ups=1, longest=0.1, has_host_times=False)
    gpu, flavour = GpuTimer(turns, passes), load_flavour()
    bandwidth = gpu.copy_bandwidth()
    environment = host_environment() | gpu.environment()
    environment["tensorrt"] = f"{flavour.name} {flavour.version}"
    _print({"environment": environment, "method": gpu.method, "copy_bandwidth": bandwidth})

    def measured(plugin: str, workload: Workload) -> dict[str, Any]:
        bench = WorkloadBench(
            replace(workload, most_sets=min(workload.most_sets or _MOST_SETS, _MOST_SETS)),
            gpu,
            flavour=flavour,
            bandwidth=bandwidth,
            reference_seconds=_REFERENCE_SECONDS,
        )
        peers = peers_of(name)
        return middle_row(lambda: row_of(plugin, list(bench.results(peers))))

    for workload in workloads_of(name, seed):
        plugin = type(workload.plugin).__name__
        try:
            with gpu.current():
                row = measured(plugin, workload)
        except Exception as error:  # the next workload may succeed
            row = _failed(plugin, workload, f"{type(error).__name__}: {error}")
        _print(row)
        gpu.free()


def _failed(plugin: str, workload: Workload, note: str) -> dict[str, Any]:
    names = {"case": workload.case, "variant": workload.variant}
    return {
        "plugin": plugin, **names, "dtype": workload.dtypes[0].name, "status": "failed",
        "note": note,
    }  # fmt: skip


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def rows_of(
    names: Sequence[str], seed: int, turns: Path, processes: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield what the processes of benchmarks print, as they print it, for so many seconds."""
    latest = time.monotonic() + seconds
    # One thread compiles for each process; the pools of all would outnumber the cores.
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    printed: Queue[dict[str, Any] | str] = Queue()  # a row, or who has ended
    started: list[subprocess.Popen[str]] = []

    def read(name: str) -> None:
        command = [sys.executable, __file__, name, "--turns", str(turns), "--seed", str(seed)]
        command.append("--lines")
        try:
            with subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, text=True
            ) as process:
                started.append(process)
                for line in process.stdout or ():
                    if line.startswith("{"):
                        printed.put(json.loads(line))
            if process.returncode:
                printed.put(_ended(name, f"the process ended with {process.returncode}"))
        finally:
            printed.put(name)

    with ThreadPoolExecutor(processes) as pool:
        try:
            running = {name: pool.submit(read, name) for name in names}
            while running:
                row = printed.get(timeout=max(0, latest - time.monotonic()))
                if isinstance(row, str):
                    del running[row]
                else:
                    yield row
        except Empty:
            yield from (_ended(name, f"not ended after {seconds:.0f} s") for name in running)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.kill()


def _ended(name: str, note: str) -> dict[str, Any]:
    return {"plugin": name, "case": "", "status": "failed", "note": note}


def _line(row: dict[str, Any]) -> str:
    words = [row["plugin"], row["case"], row.get("variant", ""), row.get("dtype", "")]
    if "ratio" in row:
        words.append(f"{row['ratio']:.3f} of {row['fastest']}, {row['device_us']:.1f} us")
    words += [row[key] for key in ("status", "note") if row[key]]
    peers = row.get("peers", {}).items()
    return " | ".join([*words, *(f"{name}: {why}" for name, why in peers if isinstance(why, str))])


def main() -> int:
    """Measure; print a line for each workload and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks, such as top_k; all")
    parser.add_argument("--seed", type=int, help="draws shapes; another for each run")
    parser.add_argument("--turns", type=Path, metavar="FILE", help="as pluginkit bench --turns")
    parser.add_argument("--processes", type=int, default=12, help="so many side by side; 12")
    parser.add_argument("--seconds", type=float, default=3600, help="stop after so many; 3600")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results are written")
    parser.add_argument("--lines", action="store_true", help="print rows of JSON, from one process")
    args = parser.parse_args()
    names = args.names or benchmark_names()
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    with TemporaryDirectory() as folder:
        turns = args.turns or Path(folder) / "turns"
        if args.lines:
            for name in names:
                _measure(name, seed, turns)
            return 0
        printed = rows_of(names, seed, turns, args.processes, args.seconds)
        return _record(printed, seed, args.json, is_part=bool(args.names))


def with_earlier(
    rows: list[dict[str, Any]], path: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of some plugins and those of all others in a file.

    The second result says of which plugins the others are, and when and with which seed they were
    measured.
    """
    if not path.exists():
        return rows, []
    before, measured = json.loads(path.read_text(encoding="utf-8")), {row["plugin"] for row in rows}
    others = [row for row in before["rows"] if row["plugin"] not in measured]
    runs = before.get("earlier", [])
    known = {plugin for run in runs for plugin in run["plugins"]}
    own = sorted({row["plugin"] for row in others} - known)
    runs = [{"date": before["date"], "seed": before["seed"], "plugins": own}, *runs]
    left = [
        run | {"plugins": [each for each in run["plugins"] if each not in measured]} for run in runs
    ]
    return rows + others, [run for run in left if run["plugins"]]


def _record(
    printed: Iterator[dict[str, Any]], seed: int, path: Path | None, *, is_part: bool
) -> int:
    """Write the rows, also those of a run that is stopped; return the exit code."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, machine, rows = time.monotonic(), dict[str, Any](), list[dict[str, Any]]()
    try:
        for row in printed:
            if "environment" in row:
                machine = row
            else:
                rows.append(row)
                print(f"{time.monotonic() - began:.0f} s | {_line(row)}", flush=True)
    finally:
        signal.signal(signal.SIGTERM, before)
        environment = machine.pop("environment", {})
        file, all_rows, earlier = path or RESULTS / "hostile_shapes.json", rows, list[Any]()
        if is_part:
            all_rows, earlier = with_earlier(rows, file)
        record("hostile_shapes", environment, all_rows, path, seed=seed, earlier=earlier, **machine)
        print(summary_line(rows))
    return 1 if any(row["status"] != "ok" for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
