"""Run every case of every shipped plugin, in every type, on the PTX machine: results and time.

    python benchmarks/ptx_machine.py [PLUGIN ...] [--types all]
    python benchmarks/ptx_machine.py --checks [PLUGIN ...]

For each plugin: calls, threads, CPU seconds on the machine (without compilation), calls with
findings, and how many outputs are within the plugin's tolerance of the numpy reference. With a GPU,
the same calls also run there, and outputs are compared with the GPU's: how many are bitwise equal,
and the largest difference of the others, relative to max(1, value).

``--checks`` measures instead what the machine adds to `pluginkit check`: the CPU seconds of all
checks that run kernels on it, without compilation, and how many calls they left out for lack of
time. The results go to results/ptx_checks.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from record import RESULTS, host_environment, record

from pluginkit.checking.check import all_checks
from pluginkit.checking.debug_taps import differing
from pluginkit.checking.machine_device import machine_for
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.run_check import execute
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.contract.plugin import Plugin
from pluginkit.device.gpus import find_gpu
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.device.ptx_run import run_on
from pluginkit.discovery import find_plugins
from pluginkit.errors import PluginkitError
from pluginkit.kernels.enqueue_steps import enqueue_steps, three
from pluginkit.kernels.ptx_code import seconds_compiling


@dataclass
class Tally:
    """The results of one plugin."""

    calls: int = 0
    not_run: int = 0
    threads: int = 0
    seconds: float = 0.0
    flagged: int = 0
    outputs: int = 0
    right: int = 0
    equal_to_gpu: int = 0
    largest_difference: float = 0.0


def main() -> None:
    """Print a table, a line for each plugin."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plugins", nargs="*")
    parser.add_argument("--types", choices=("all", "cover", "first"), default="all")
    parser.add_argument("--checks", action="store_true")
    chosen = parser.parse_args()
    if chosen.checks:
        measure_checks(chosen.plugins)
        return
    gpu = find_gpu()
    print(f"GPU: {gpu.name if gpu else 'none'}")
    print("| plugin | calls | threads | s | flagged | not run | outputs | right |", end="")
    print(" equal to the GPU's | largest difference |" if gpu else "")
    print("| --- |" + " --- |" * (9 if gpu else 7))
    for plugin in find_plugins().values():
        if chosen.plugins and plugin.__name__ not in chosen.plugins:
            continue
        tally = Tally()
        for call in Subject(plugin).calls(chosen.types):
            measure(call, tally, has_gpu=gpu is not None)
        print(line(plugin.__name__, tally, has_gpu=gpu is not None), flush=True)


def measure_checks(names: Sequence[str]) -> None:
    """Measure the checks of the shipped plugins, or of the named ones."""
    print("| plugin | s | the longest check | calls | left out for time |\n" + "| --- " * 5 + "|")
    for plugin in find_plugins().values():
        if names and plugin.__name__ not in names:
            continue
        row = row_of_checks(plugin)
        path = RESULTS / "ptx_checks.json"
        known = json.loads(path.read_text())["rows"] if path.exists() else []
        rows = [*(one for one in known if one["plugin"] != row["plugin"]), row]
        record("ptx_checks", host_environment(), sorted(rows, key=lambda one: str(one["plugin"])))
        longest = f"{row['longest']}, {row['longest_seconds']:.1f} s"
        cells = [row["plugin"], f"{row['seconds']:.1f}", longest, row["run"], row["left_out"]]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def row_of_checks(plugin: type[Plugin]) -> dict[str, Any]:
    """Return the row of one plugin: the time of its checks on the machine."""
    subject = Subject(plugin)
    machine_for(subject)
    seconds, tallies = dict[str, float](), Counter[str]()
    for check in all_checks().values():
        if not {"machine", "device"} & set(check.needs):
            continue
        started = time.process_time() - seconds_compiling()
        result = execute(check, subject)
        seconds[check.name] = time.process_time() - seconds_compiling() - started
        if result.status == "failed":
            raise SystemExit(str(result))
        tallies["run"] += sum(map(int, re.findall(r"(\d+) calls?", result.remark)))
        tallies["left_out"] += sum(map(int, re.findall(r"not run: (\d+) more", result.remark)))
    longest = max(seconds, key=lambda name: seconds[name])
    return {
        "plugin": plugin.__name__,
        "seconds": round(sum(seconds.values()), 2),
        "longest": longest,
        "longest_seconds": round(seconds[longest], 2),
        "run": tallies["run"],
        "left_out": tallies["left_out"],
    }


def line(name: str, tally: Tally, *, has_gpu: bool) -> str:
    """Return a plugin's line of the table."""
    cells: list[Any] = [name, tally.calls, tally.threads, f"{tally.seconds:.1f}", tally.flagged]
    cells += [tally.not_run, tally.outputs, tally.right]
    if has_gpu:
        cells += [tally.equal_to_gpu, f"{tally.largest_difference:.2g}"]
    return f"| {' | '.join(map(str, cells))} |"


def measure(call: PluginCall, tally: Tally, *, has_gpu: bool) -> None:
    """Run one call and add its results."""
    tally.calls += 1
    tally.threads += threads_of(call)
    started = time.process_time() - seconds_compiling()
    try:
        run = run_on(PtxDevice(), call.plugin, call.arrays)
    except PluginkitError as error:
        tally.not_run += 1
        print(f"{call.label}: {error}")
        return
    tally.seconds += time.process_time() - seconds_compiling() - started
    if run.findings:
        tally.flagged += 1
        print(f"{call.label}: {run.findings[0]}")
    tally.outputs += len(run.outputs)
    expected = call.reference()
    right = [is_right(call, got, one) for got, one in zip(run.outputs, expected, strict=True)]
    tally.right += sum(right)
    if not all(right):
        print(f"{call.label}: wrong results")
    if has_gpu:
        compare_with_gpu(call, run.outputs, tally)


def is_right(call: PluginCall, got: Any, expected: Any) -> bool:
    """Whether an output is within the plugin's tolerance."""
    return got.shape == expected.shape and not differing(call.plugin, got, expected).any()


def threads_of(call: PluginCall) -> int:
    """Return the number of threads of all launches."""
    inputs = call.describe()
    outputs = calls.describe_outputs(call.plugin, inputs)
    steps = enqueue_steps(call.plugin, inputs, outputs).steps
    launches = [step for step in steps if isinstance(step, Launch)]
    return sum(prod(three(one.grid)) * prod(three(one.block)) for one in launches)


def compare_with_gpu(call: PluginCall, outputs: Sequence[Any], tally: Tally) -> None:
    """Count the outputs that equal the GPU's, and record the largest difference of the others."""
    from pluginkit.device.run_kernels import run_kernels

    for got, expected in zip(outputs, run_kernels(call.plugin, call.arrays), strict=True):
        if got.shape == expected.shape and got.tobytes() == expected.tobytes():
            tally.equal_to_gpu += 1
            continue
        print(f"{call.label}: differs from the GPU")
        if got.shape != expected.shape:
            tally.largest_difference = float("inf")
            continue
        a, b = got.astype(np.float64), expected.astype(np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(a - b) / np.maximum(1, np.abs(b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        largest = float(np.where(same, 0, np.nan_to_num(error, nan=np.inf)).max(initial=0))
        tally.largest_difference = max(tally.largest_difference, largest)


if __name__ == "__main__":
    main()
