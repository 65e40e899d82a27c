"""Breaks the shipped plugins' kernels in two ways and counts what the PTX machine notices.

    python benchmarks/ptx_mutants.py barriers [PLUGIN ...] [--seconds 20]
    python benchmarks/ptx_mutants.py ends [PLUGIN ...] [--seconds 20]

``barriers`` removes each barrier from the PTX, of blocks and of warps, one at a time, and runs the
cases that launch the kernel until one is noticed. ``ends`` hides the last element of each buffer,
one at a time, in each case. Every mutant that goes unnoticed is printed with its source line, for a
reader to judge: an order that a barrier makes may be there without it, and an element for nobody. A
barrier that no case runs, as a trap in its place tells, is counted apart.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

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

_BARRIER = re.compile(r"^\s*(?:@!?%p\d+\s+)?(?:bar\.sync|barrier\.sync|bar\.warp\.sync)\b.*;")
_PLACE = re.compile(r"\.loc\s+(\d+)\s+(\d+)")


def main() -> None:
    """Run one campaign on the shipped plugins, or on those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("campaign", choices=("barriers", "ends"))
    parser.add_argument("plugins", nargs="*")
    parser.add_argument("--seconds", type=float, default=20, help="of the processor, a mutant")
    chosen = parser.parse_args()
    campaign = {"barriers": without_barriers, "ends": with_hidden_ends}[chosen.campaign]
    total: Counter[str] = Counter()
    for plugin in find_plugins().values():
        if chosen.plugins and plugin.__name__ not in chosen.plugins:
            continue
        found: Counter[str] = Counter()
        for mutant, verdict in campaign(Subject(plugin), chosen.seconds):
            found[verdict] += 1
            if verdict == "unnoticed":
                print(f"  unnoticed: {mutant}")
        print(f"{plugin.__name__}: {_counts(found)}", flush=True)
        total += found
    print(f"all: {_counts(total)}")


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items())) or "none"


@dataclass(frozen=True)
class Kernel:
    """A kernel, and the calls that launch it."""

    wanted: Specialisation
    calls: list[PluginCall]


def without_barriers(subject: Subject, seconds: float) -> Iterator[tuple[str, str]]:
    """Each kernel without each of its barriers, and what notices that."""
    for kernel in kernels_of(subject):
        whole = ptx_code.ptx_code(kernel.wanted)
        for number, without, with_trap, place in mutants_of(whole):
            ptx_code.put(kernel.wanted, replace(whole, text=without))
            verdict = judge(kernel.calls, seconds)
            if verdict == "unnoticed":
                ptx_code.put(kernel.wanted, replace(whole, text=with_trap))
                if judge(kernel.calls, seconds) != "trap":
                    verdict = "never runs"
            yield f"{kernel.wanted}, barrier {number}, {place}", verdict
        ptx_code.put(kernel.wanted, whole)


def kernels_of(subject: Subject) -> list[Kernel]:
    """The kernels that a plugin's cases launch in their first types, small cases first."""
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


def mutants_of(code: ptx_code.PtxCode) -> Iterator[tuple[int, str, str, str]]:
    """For each barrier: its number, the module without it, with a trap there, its source line."""
    lines = code.text.split("\n")
    begin = next(n for n, line in enumerate(lines) if re.search(rf"\.entry {code.symbol}\(", line))
    end = next(n for n in range(begin, len(lines)) if lines[n].startswith("}"))
    files = dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', code.text))
    place, number = "?", 0
    for index in range(begin, end):
        if found := _PLACE.search(lines[index]):
            place = f"{files.get(found[1], '?').rpartition('/')[2]}:{found[2]}"
        if _BARRIER.match(lines[index]):
            number += 1
            before, after = lines[:index], lines[index + 1 :]
            without, with_trap = [*before, *after], [*before, "trap;", *after]
            yield number, "\n".join(without), "\n".join(with_trap), place


def judge(sequence: list[PluginCall], seconds: float) -> str:
    """What the first call that notices something says: a kind of finding, or the results."""
    end = time.process_time() + seconds
    for call in sequence:
        if time.process_time() > end:
            return "unnoticed"
        try:
            run = run_on(PtxDevice(), call.plugin, call.arrays)
        except PluginkitError as error:
            return f"error {error.code}"
        if run.findings:
            return run.findings[0].kind
        if is_wrong(call, run):
            return "wrong results"
    return "unnoticed"


def is_wrong(call: PluginCall, run: KernelRun) -> bool:
    """Whether an output is not what the reference gives."""
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


def with_hidden_ends(subject: Subject, seconds: float) -> Iterator[tuple[str, str]]:
    """Each case without the last element of each of its buffers, and whether that is noticed."""
    for call in subject.calls("first"):
        end = time.process_time() + seconds
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
        for name, itemsize, nbytes in tensors:
            if not nbytes or time.process_time() > end:
                continue
            try:
                run = run_on(ShorteningDevice(name, itemsize), call.plugin, call.arrays)
            except PluginkitError as error:
                yield f"{call.label}, the end of {name}", f"error {error.code}"
                continue
            kinds = {finding.kind for finding in run.findings}
            verdict = "out_of_bounds" if "out_of_bounds" in kinds else "unnoticed"
            yield f"{call.label}, the end of {name}", verdict


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
