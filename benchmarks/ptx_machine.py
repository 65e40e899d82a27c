"""Runs every case of every shipped plugin, in every type, on the PTX machine: results and time.

    python benchmarks/ptx_machine.py [PLUGIN ...] [--types all]

For each plugin: calls, threads, processor seconds on the machine (compilation apart), calls with
findings, and how many outputs are within the plugin's tolerance of the numpy reference. Where there
is a GPU the same calls run there too, and outputs are compared with the GPU's: how many are equal
in every bit, and the largest difference of the others, relative to max(1, value).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pluginkit.checking.debug_taps import differing
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.device.gpus import find_gpu
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.device.ptx_run import run_on
from pluginkit.discovery import find_plugins
from pluginkit.errors import PluginkitError
from pluginkit.kernels.enqueue_steps import enqueue_steps, three
from pluginkit.kernels.ptx_code import seconds_compiling


@dataclass
class Tally:
    """What was seen of one plugin."""

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
    chosen = parser.parse_args()
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


def line(name: str, tally: Tally, *, has_gpu: bool) -> str:
    """A plugin's line of the table."""
    cells: list[Any] = [name, tally.calls, tally.threads, f"{tally.seconds:.1f}", tally.flagged]
    cells += [tally.not_run, tally.outputs, tally.right]
    if has_gpu:
        cells += [tally.equal_to_gpu, f"{tally.largest_difference:.2g}"]
    return f"| {' | '.join(map(str, cells))} |"


def measure(call: PluginCall, tally: Tally, *, has_gpu: bool) -> None:
    """Run one call and count."""
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
    """The threads of all launches."""
    inputs = call.describe()
    outputs = calls.describe_outputs(call.plugin, inputs)
    steps = enqueue_steps(call.plugin, inputs, outputs).steps
    launches = [step for step in steps if isinstance(step, Launch)]
    return sum(prod(three(one.grid)) * prod(three(one.block)) for one in launches)


def compare_with_gpu(call: PluginCall, outputs: Sequence[Any], tally: Tally) -> None:
    """Count the outputs that equal the GPU's, and note the largest difference of the others."""
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
