"""What compute-sanitizer says of the planted bugs and of their sound twins: a table. Needs a GPU.

    python tests/plugincheck/planted_bugs/under_compute_sanitizer.py OUT [--jobs 8]

Each plugin runs once by itself and once under each of the four tools, in processes of their own:
buffers of exactly their size from cudaMalloc, outputs and workspace as cudaMalloc leaves them. The
checks of plugincheck that execute kernels run on the GPU as well, and the plugin on the PTX
machine, whose kinds of findings come last.
OUT gets ``compute_sanitizer.md``, the table, and ``compute_sanitizer.json`` with the first lines of
every report. A run that does not end within a minute is called a hang.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
sys.path.insert(0, str(ROOT))

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
TIME_LIMIT = 60.0
_SUMMARY = re.compile(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard")


def main(args: Sequence[str] | None = None) -> int:
    """Run everything and write the table, or (as its own child) run one plugin."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--only", nargs="+", default=[], metavar="PLUGIN")
    parser.add_argument("--one", nargs=2, metavar=("TASK", "PLUGIN"), help="for the script's use")
    chosen = parser.parse_args(args)
    if chosen.one:
        task, name = chosen.one
        print(TASKS[task](name))  # noqa: T201  # which the parent reads
        return 0
    found = judge_all(chosen.only, chosen.jobs)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "compute_sanitizer.json").write_text(json.dumps(found, indent=1))
    table = "\n".join(table_of(found))
    (chosen.out / "compute_sanitizer.md").write_text(table + "\n")
    print(table)  # noqa: T201  # a script's output
    return 0


def corpus() -> dict[str, Any]:
    """Each plugin's class by its name, with the kinds of findings that must name it."""
    from tests.plugincheck.planted_bugs.corpus import bugs, sound_plugins

    found = {
        bug.plugin.__name__: (bug.plugin, ", ".join(bug.findings) or bug.check) for bug in bugs()
    }
    return found | {plugin.__name__: (plugin, "sound") for plugin in sound_plugins()}


def judge_all(only: Sequence[str], jobs: int) -> list[dict[str, Any]]:
    """For each plugin what it is, how it runs alone, and what each tool says."""
    everything = [(name, kind) for name, (_, kind) in corpus().items() if not only or name in only]
    with ThreadPoolExecutor(jobs) as pool:
        runs = {
            (name, tool): pool.submit(run_under, name, tool)
            for name, _ in everything
            for tool in (*TASKS, *TOOLS)
        }
        return [
            {
                "plugin": name,
                "kind": kind,
                **{tool: runs[name, tool].result() for tool in (*TASKS, *TOOLS)},
            }
            for name, kind in everything
        ]


def run_under(name: str, tool: str) -> dict[str, Any]:
    """One plugin under one tool, or one task: a verdict and the first lines of the report.

    The verdict is the number of errors, "-" for none; or what the child printed last.
    """
    is_tool = tool in TOOLS
    task = "alone" if is_tool else tool
    child = [sys.executable, str(Path(__file__).resolve()), "unused", "--one", task, name]
    prefix = ["compute-sanitizer", "--tool", tool, "--print-limit", "3"] if is_tool else []
    if tool == "memcheck":
        prefix += ["--leak-check", "no", "--report-api-errors", "no"]
    try:
        process = subprocess.Popen(
            [*prefix, *child],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return {"verdict": "not run", "report": [str(error)]}
    try:
        output, errors = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children too, which wait for the GPU
        process.communicate()
        return {"verdict": "hang", "report": []}
    text = output + errors
    if not is_tool:
        return {"verdict": output.strip().rpartition("\n")[2] or "crash", "report": []}
    summary = _SUMMARY.search(text)
    if summary is None:
        return {"verdict": "not run", "report": text.strip().split("\n")[-5:]}
    count = next(int(number) for number in summary.groups() if number is not None)
    report = [line.strip("= ") for line in text.split("\n") if line.startswith("=========")]
    return {"verdict": str(count) if count else "-", "report": report[1:9]}


def run_alone(name: str) -> str:
    """Run a plugin's cases on the GPU: whether the results are right."""
    import cupy

    from pluginkit.checking.plugin_under_test import Subject

    cupy.cuda.set_allocator(None)  # buffers of their own, whose ends the tools know
    plugin, _ = corpus()[name]
    every = all(are_right(call, enqueue_once(call)) for call in Subject(plugin).calls())
    return "right" if every else "wrong"


def are_right(call: Any, results: Any) -> bool:
    """Whether the outputs are the reference's."""
    from pluginkit.checking.debug_taps import differing

    pairs = zip(results, call.reference(), strict=True)
    return all(a.shape == b.shape and not differing(call.plugin, a, b).any() for a, b in pairs)


def check(name: str) -> str:
    """The checks that fail among those that execute kernels on a GPU."""
    from pluginkit.checking.check import all_checks
    from pluginkit.testing import plugincheck

    plugin, _ = corpus()[name]
    executing = [one.name for one in all_checks().values() if {"device", "cuda"} & set(one.needs)]
    report = plugincheck(plugin, only=executing)
    if not report.of("passed") and not report.has_failures:
        return "not run"
    return ", ".join(one.check for one in report.of("failed")) or "-"


def run_on_machine(name: str) -> str:
    """The kinds of findings on the PTX machine, in place too, and whether results are wrong."""
    from pluginkit.checking.plugin_under_test import Subject
    from pluginkit.testing import run_kernels

    plugin, _ = corpus()[name]
    found = set()
    for call in Subject(plugin).calls("cover"):
        for in_place in (False, True) if plugin.spec.has_aliases else (False,):
            run = run_kernels(call.plugin, call.case.inputs, in_place=in_place, seconds=20)
            found |= {finding.kind for finding in run.findings}
            if not are_right(call, run.outputs):
                found.add("wrong")
        if not found:
            run = run_kernels(call.plugin, call.case.inputs, seed=0, seconds=20)
            found |= {finding.kind for finding in run.findings}
            if not are_right(call, run.outputs):
                found.add("wrong in another order")
    return ", ".join(sorted(found)) or "-"


TASKS = {"alone": run_alone, "plugincheck": check, "machine": run_on_machine}


def enqueue_once(call: Any) -> Any:
    """The outputs of one enqueue, on memory that only the inputs have been written to.

    An output that may lie in an input's memory does.
    """
    import cupy
    import numpy as np

    from pluginkit.contract import calls
    from pluginkit.kernels.prepare import prepare

    inputs = call.describe()
    outputs = calls.describe_outputs(call.plugin, inputs)
    ports = [port.name for port in calls.device_ports(call.plugin)]
    given = [raw(array.nbytes) for array in call.device_arrays]
    for buffer, array in zip(given, call.device_arrays, strict=True):
        buffer.copy_from_host(np.ascontiguousarray(array).ctypes.data, array.nbytes)
    made = []
    for port, desc in zip(call.plugin.spec.outputs, outputs, strict=True):
        source = ports.index(port.aliases) if port.aliases in ports else None
        made.append(raw(int(desc.nbytes)) if source is None else given[source])
    workspace = raw(calls.workspace_bytes(call.plugin, inputs))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.runtime.deviceSynchronize()
    prepare(call.plugin, inputs, outputs).enqueue(
        [buffer.ptr for buffer in given], [buffer.ptr for buffer in made], workspace.ptr, stream.ptr
    )
    stream.synchronize()
    written = []
    for buffer, desc in zip(made, outputs, strict=True):
        content = np.zeros(int(desc.nbytes), np.uint8)
        buffer.copy_to_host(content.ctypes.data, content.nbytes)
        written.append(content.tobytes())
    return calls.arrays_from_buffers(call.plugin, inputs, written)


def raw(nbytes: int) -> Any:
    """A buffer of exactly this size (a byte at least), as cudaMalloc leaves it."""
    import cupy

    return cupy.cuda.alloc(max(nbytes, 1))


def table_of(found: Sequence[dict[str, Any]]) -> list[str]:
    """The table in Markdown, and how many bugs each tool has named."""
    lines = [
        f"| plugin | planted | results on the GPU | {' | '.join(TOOLS)} | plugincheck on the GPU "
        "| the PTX machine |",
        "| --- | --- | --- |" + " --- |" * len(TOOLS) + " --- | --- |",
    ]
    for one in found:
        verdicts = [one[run]["verdict"] for run in ("alone", *TOOLS, "plugincheck", "machine")]
        lines.append(f"| {one['plugin']} | {one['kind']} | {' | '.join(verdicts)} |")
    bugs = [one for one in found if one["kind"] != "sound"]
    seen = [one for one in bugs if any(is_named(one[tool]) for tool in TOOLS)]
    wrong = [one for one in bugs if one["alone"]["verdict"] != "right"]
    checked = [one for one in bugs if one["plugincheck"]["verdict"] not in ("-", "not run")]
    met = [one for one in bugs if one["machine"]["verdict"] not in ("-", "not run", "crash")]
    flagged = [
        one["plugin"]
        for one in found
        if one["kind"] == "sound" and any(is_named(one[tool]) for tool in TOOLS)
    ]
    lines += [
        "",
        f"Of {len(bugs)} bugs compute-sanitizer names {len(seen)}, plugincheck on the GPU fails "
        f"{len(checked)}, the PTX machine names {len(met)} in their own cases, and {len(wrong)} "
        "give wrong results, crash or hang on the GPU. Sound plugins that compute-sanitizer "
        f"flags: {', '.join(flagged) or 'none'}.",
    ]
    return lines


def is_named(one: dict[str, Any]) -> bool:
    """Whether the tool has found something."""
    return str(one["verdict"]).isdigit()


if __name__ == "__main__":
    sys.exit(main())
