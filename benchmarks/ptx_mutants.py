"""Break the shipped plugins' kernels in two ways, and count what the PTX machine finds.

    python benchmarks/ptx_mutants.py barriers [PLUGIN ...] [--seconds 20]
    python benchmarks/ptx_mutants.py ends [PLUGIN ...] [--seconds 20]
    python benchmarks/ptx_mutants.py table

``barriers`` removes each barrier of a block or a warp from the PTX, one at a time, and runs the
cases that launch the kernel, in ascending and in other orders, until one shows it. ``ends`` makes
each buffer one element shorter, one at a time, in each case. Barriers that no case runs and
elements that no kernel accesses are counted separately.

Every mutant is recorded in results/ptx_mutants_CAMPAIGN.json; ``--resume`` keeps the recorded ones.
A mutant that no run shows is either proved to change nothing (see ptx_mutant_proofs.py), or a
person reads the kernel and writes ``wrong`` or ``harmless``, with the reason, into
ptx_mutant_readings.json. ``table`` writes ptx_mutants.md from all that, and fails if a mutant is
neither found, proved harmless nor read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import ptx_mutant_proofs as proofs

from pluginkit.atomic_files import replace_file
from pluginkit.checking.debug_taps import differing
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.device.ptx_run import KernelRun, run_on
from pluginkit.discovery import find_plugins
from pluginkit.errors import PluginkitError
from pluginkit.kernels import ptx_code
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.kernels.specialise import Specialisation, specialise, type_bindings

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
READINGS = FOLDER / "ptx_mutant_readings.json"
PAGE = FOLDER / "ptx_mutants.md"

_BARRIER = re.compile(r"^\s*(?:@!?%p\d+\s+)?(?:bar\.sync|barrier\.sync|bar\.warp\.sync)\b.*;")
_PLACE = re.compile(r"\.loc\s+(\d+)\s+(\d+)")
#: The seeds of further orders of blocks and warps, for mutants that ascending order does not show.
_ORDERS = range(4)
#: The verdicts on code and elements that no case uses, and on proved harmless mutants.
OUTSIDE, HARMLESS = ("never runs", "never accessed"), ("orders nothing",)

#: A mutant, its source line, and its verdict.
Verdicts = Iterator[tuple[str, str, str]]


def main() -> None:
    """Run one campaign on the shipped plugins, or on the named ones."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("campaign", choices=("barriers", "ends", "table"))
    parser.add_argument("plugins", nargs="*")
    parser.add_argument("--seconds", type=float, default=20, help="of the processor, a mutant")
    parser.add_argument("--resume", action="store_true", help="judge only what is not judged")
    chosen = parser.parse_args()
    if chosen.campaign == "table":
        PAGE.write_text(page(json.loads(READINGS.read_text())))
        return
    campaign = {"barriers": without_barriers, "ends": with_hidden_ends}[chosen.campaign]
    for plugin in find_plugins().values():
        name = plugin.__name__
        if chosen.plugins and name not in chosen.plugins:
            continue
        rows: list[dict[str, str]] = []
        known = {row["mutant"]: row["verdict"] for row in results(chosen.campaign).get(name, ())}
        judged = known if chosen.resume else {}
        for mutant, place, verdict in campaign(Subject(plugin), chosen.seconds, judged):
            rows.append({"mutant": mutant, "place": place, "verdict": verdict})
            keep(chosen.campaign, name, rows)
            if verdict == "unnoticed":
                print(f"  unnoticed: {mutant}, {place}", flush=True)
        found = Counter(row["verdict"] for row in rows)
        print(f"{name}: {', '.join(f'{n} {one}' for one, n in found.items())}", flush=True)
        if not rows:
            keep(chosen.campaign, name, rows)


def keep(campaign: str, plugin: str, rows: list[dict[str, str]]) -> None:
    """Write a plugin's mutants to the results."""
    known = results(campaign)
    known[plugin] = rows
    text = json.dumps(known, indent=1, sort_keys=True) + "\n"
    replace_file(RESULTS / f"ptx_mutants_{campaign}.json", text.encode())


def results(campaign: str) -> dict[str, list[dict[str, str]]]:
    """Return the recorded mutants of a campaign, by plugin."""
    path = RESULTS / f"ptx_mutants_{campaign}.json"
    found: dict[str, list[dict[str, str]]] = json.loads(path.read_text()) if path.exists() else {}
    return found


@dataclass(frozen=True)
class Kernel:
    """A kernel, and the calls that launch it."""

    wanted: Specialisation
    calls: list[PluginCall]


def without_barriers(subject: Subject, seconds: float, judged: dict[str, str]) -> Verdicts:
    """Yield the mutants of each kernel without one of its barriers, with their verdicts."""
    for kernel in kernels_of(subject):
        whole = ptx_code.ptx_code(kernel.wanted)
        met = barriers_met(kernel, whole)
        for mutant in mutants_of(whole):
            name = f"{kernel.wanted}, barrier {mutant.number}"
            verdict = judged.get(name, "never runs")
            if mutant.number in met and name not in judged:
                verdict = judge(kernel, whole, mutant.without, [None], seconds)
                if verdict == "unnoticed" and orders_nothing(kernel, whole, mutant):
                    verdict = "orders nothing"
                elif verdict == "unnoticed":
                    verdict = judge(kernel, whole, mutant.without, _ORDERS, seconds)
            yield name, mutant.place, verdict
        ptx_code.put(kernel.wanted, whole)


def barriers_met(kernel: Kernel, whole: ptx_code.PtxCode) -> set[int]:
    """Return the numbers of the barriers that some case runs."""
    lines = whole.text.split("\n")
    for number, index in reversed([*enumerate(barrier_lines(whole), 1)]):
        lines.insert(index, f".loc {proofs.MARK} {number} 0")
    ptx_code.put(kernel.wanted, replace(whole, text="\n".join(lines)))
    with proofs.marks_met() as met:
        for call in kernel.calls:
            run_on(PtxDevice(), call.plugin, call.arrays)
    return met


def orders_nothing(kernel: Kernel, whole: ptx_code.PtxCode, mutant: Mutant) -> bool:
    """Whether no case has two threads that need a barrier; the kernel has it, marked."""
    ptx_code.put(kernel.wanted, replace(whole, text=mutant.marked))
    for call in kernel.calls:
        sides, needed = proofs.Sides(of_warps="warp" in mutant.barrier), list[bool]()
        try:
            with proofs.watching(sides, needed):
                run_on(PtxDevice(), call.plugin, call.arrays)
        except proofs.TooLarge:
            return False
        if any(needed):
            return False
    return True


def kernels_of(subject: Subject) -> list[Kernel]:
    """Return the kernels that a plugin's cases launch in their first types, small cases first."""
    launched: dict[Specialisation, list[PluginCall]] = {}
    for call in sorted(subject.calls("first"), key=lambda call: sum(a.size for a in call.arrays)):
        inputs = call.describe()
        outputs = calls.describe_outputs(call.plugin, inputs)
        bindings = type_bindings(call.plugin, inputs, outputs)
        for step in enqueue_steps(call.plugin, inputs, outputs).steps:
            if isinstance(step, Launch):
                listed = launched.setdefault(specialise(call.plugin, bindings, step), [])
                if not any(one is call for one in listed):
                    listed.append(call)
    ptx_code.compile_ahead(launched)
    return [Kernel(wanted, listed) for wanted, listed in launched.items()]


@dataclass(frozen=True)
class Mutant:
    """A module with one barrier less.

    Attributes:
        number: which of the kernel's barriers it is, from 1.
        barrier: its instruction.
        place: its source line.
        without: the module's text without it.
        marked: the module's text in which it has its own ``.loc``.
    """

    number: int
    barrier: str
    place: str
    without: str
    marked: str


def mutants_of(code: ptx_code.PtxCode) -> Iterator[Mutant]:
    """Return a mutant for each barrier of a kernel."""
    lines = code.text.split("\n")
    files = dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', code.text))
    for number, index in enumerate(barrier_lines(code), 1):
        found = next(filter(None, map(_PLACE.search, reversed(lines[:index]))), None)
        place = f"{files.get(found[1], '?').rpartition('/')[2]}:{found[2]}" if found else "?"
        without, marked = (
            "\n".join([*lines[:index], *instead, *lines[index + 1 :]])
            for instead in ([], [f".loc {proofs.MARK} 1 0", lines[index]])
        )
        yield Mutant(number, lines[index], place, without, marked)


def barrier_lines(code: ptx_code.PtxCode) -> list[int]:
    """Return the lines of a kernel's text that are barriers."""
    lines = code.text.split("\n")
    begin = next(n for n, line in enumerate(lines) if re.search(rf"\.entry {code.symbol}\(", line))
    end = next(n for n in range(begin, len(lines)) if lines[n].startswith("}"))
    return [n for n in range(begin, end) if _BARRIER.match(lines[n])]


def judge(
    kernel: Kernel,
    whole: ptx_code.PtxCode,
    text: str,
    orders: Sequence[int | None],
    seconds: float,
) -> str:
    """Return what first shows the change of a kernel: a kind of finding, or the results."""
    ptx_code.put(kernel.wanted, replace(whole, text=text))
    end = time.process_time() + seconds
    for call in kernel.calls:
        for seed in orders:
            if time.process_time() > end:
                return "unnoticed"
            found = noticed(call, seed)
            if found:
                return found
    return "unnoticed"


def noticed(call: PluginCall, seed: int | None) -> str | None:
    """Return what shows the change in one run."""
    try:
        run = run_on(PtxDevice(seed=seed), call.plugin, call.arrays)
    except PluginkitError as error:
        return f"error {error.code}"
    if run.findings:
        return run.findings[0].kind
    if is_wrong(call, run):
        return "wrong results" if seed is None else "wrong results in another order"
    return None


def is_wrong(call: PluginCall, run: KernelRun) -> bool:
    """Whether an output differs from the reference."""
    return any(
        got.shape != expected.shape or differing(call.plugin, got, expected).any()
        for got, expected in zip(run.outputs, call.reference(), strict=True)
    )


class ShorteningDevice(PtxDevice):
    """A device whose buffer of one name lacks its last bytes while kernels run."""

    def __init__(self, name: str, nbytes: int) -> None:
        super().__init__()
        self._shortened, self._missing = name, nbytes

    def launch(self, launch: Launch, code: ptx_code.PtxCode, arguments: Sequence[bytes]) -> None:
        """Run one kernel on the shorter buffer."""
        region = self.memory.buffers[self._shortened].region
        region.nbytes -= self._missing
        try:
            super().launch(launch, code, arguments)
        finally:
            region.nbytes += self._missing


def with_hidden_ends(subject: Subject, seconds: float, judged: dict[str, str]) -> Verdicts:
    """Yield each case without the last element of one of its buffers, with the verdict."""
    for call in subject.calls("first"):
        itemsizes = buffers_of(call)
        end = time.process_time() + seconds
        with proofs.touched_ends(itemsizes) as touched:
            run_on(PtxDevice(), call.plugin, call.arrays)
        for name, itemsize in itemsizes.items():
            mutant = f"{call.label}, the end of {name}"
            if mutant in judged:
                yield mutant, "", judged[mutant]
            elif name not in touched:
                yield mutant, "", "never accessed"
            elif time.process_time() > end:
                yield mutant, "", "not run, for time"
            else:
                yield mutant, "", verdict_on_end(call, name, itemsize)


def buffers_of(call: PluginCall) -> dict[str, int]:
    """Return the size of an element of each non-empty buffer, by the buffer's name."""
    inputs = call.describe()
    tensors = [
        (f"input '{port.name}'", array.itemsize, array.nbytes)
        for port, array in zip(calls.device_ports(call.plugin), call.device_arrays, strict=True)
    ]
    tensors += [
        (f"output '{desc.name}'", desc.dtype.itemsize, int(desc.nbytes))
        for desc in calls.describe_outputs(call.plugin, inputs)
    ]
    tensors.append(("the workspace", 1, calls.workspace_bytes(call.plugin, inputs)))
    return {name: itemsize for name, itemsize, nbytes in tensors if nbytes}


def verdict_on_end(call: PluginCall, name: str, itemsize: int) -> str:
    """Return the verdict on a run whose buffer lacks its last element."""
    try:
        run = run_on(ShorteningDevice(name, itemsize), call.plugin, call.arrays)
    except PluginkitError as error:
        return f"error {error.code}"
    kinds = {finding.kind for finding in run.findings}
    return "out_of_bounds" if "out_of_bounds" in kinds else "unnoticed"


def page(readings: list[dict[str, Any]]) -> str:
    """Return the page: the table of all mutants, and the list of those that a person read.

    Errors:
        SystemExit: a mutant is neither found, proved harmless nor read.
    """
    parts = [HEAD]
    for campaign, title in (("barriers", "Removed barriers"), ("ends", "Hidden last elements")):
        parts.append(section(campaign, title, results(campaign), readings))
    return "\n".join(parts)


HEAD = """# Mutants of the shipped plugins' kernels

Made by `python benchmarks/ptx_mutants.py table` from the [results](results) of its two campaigns
and from [readings](ptx_mutant_readings.json).

- named: a finding, or results that differ from the reference in the plain order or another one.
- outside: no case runs the barrier, or no kernel touches the element: nothing can be seen.
- changes nothing: no two threads touch the same bytes, one of them writing, on both sides of the
  barrier and between the barriers around it, in any case.
- read as harmless, read as wrong: neither; a reader judged, and the reason is below.
- wrong: named, or read as wrong. The share is that of the named among them.

Every kernel that a case launches in its first types is judged; CircPad and GridSample have no
barriers.
"""


def section(
    campaign: str, title: str, plugins: dict[str, Any], readings: list[dict[str, Any]]
) -> str:
    """Return one campaign's table."""
    columns = ("named", "outside", "changes nothing", "read as harmless", "read as wrong")
    lines = [
        f"## {title}\n", f"| plugin | {' | '.join(columns)} | share |", "| --- |" + " --- |" * 6
    ]  # fmt: skip
    total: Counter[str] = Counter()
    used: dict[str, list[str]] = {}
    for plugin, rows in sorted(plugins.items()):
        found: Counter[str] = Counter()
        for row in rows:
            sort, why = sort_of(campaign, plugin, row, readings)
            found[sort] += 1
            if why:
                used.setdefault(f"{plugin}, {row['place']}: {sort}. {why}", []).append(
                    row["mutant"]
                )
        lines.append(table_line(plugin, found, columns))
        total += found
    lines.append(table_line("all", total, columns))
    if used:
        lines.append("")
        lines += [f"- {why} ({len(listed)} mutants)" for why, listed in used.items()]
    return "\n".join(lines) + "\n"


def table_line(name: str, found: Counter[str], columns: Sequence[str]) -> str:
    """Return a plugin's line."""
    wrong = found["named"] + found["read as wrong"]
    share = f"{found['named'] / wrong:.0%}" if wrong else "-"
    return f"| {name} | {' | '.join(str(found[each]) for each in columns)} | {share} |"


def sort_of(
    campaign: str, plugin: str, row: dict[str, str], readings: list[dict[str, Any]]
) -> tuple[str, str]:
    """Return the column that a mutant counts in, and a reader's reason."""
    verdict = row["verdict"]
    if verdict in OUTSIDE:
        return "outside", ""
    if verdict in HARMLESS:
        return "changes nothing", ""
    if verdict != "unnoticed" and not verdict.startswith("not run"):
        return "named", ""
    for reading in readings:
        if (reading["campaign"], reading["plugin"]) == (campaign, plugin) and re.search(
            reading["mutant"], f"{row['mutant']}, {row['place']}"
        ):
            return f"read as {reading['judged']}", reading["why"]
    sys.exit(f"{campaign}: {plugin}, {row['mutant']}, {row['place']} is {verdict} and not read")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
