"""Run kernels on the PTX machine, which checks every access, with or without a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluginkit.checking.check import check
from pluginkit.checking.checks.shape_checks import resized
from pluginkit.checking.executions import expect
from pluginkit.checking.machine_device import MachineDevice, machine_for
from pluginkit.checking.outcomes import Failure
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import run_affordable
from pluginkit.device.ptx_run import run_on
from pluginkit.ptx import Finding

#: The seeds of the further orders of blocks and warps in which each call runs.
_ORDERS, _PATIENT_ORDERS = 1, 8
#: How many findings a failure lists.
_LISTED = 10


@check(195, needs=("cases", "machine"))
def sanitizer(subject: Subject) -> str:
    """No kernel makes a mistake, in any case and in several orders of blocks and warps.

    The PTX machine runs every case and its resizes; outputs that may alias an input are run both
    ways. It finds accesses outside of buffers and of unwritten or misaligned memory, races between
    threads of a warp, a block or the grid, barriers and warp operations that some threads never
    reach, integer divisions by zero, writes to inputs, output bytes that nothing wrote, results
    that follow from a clock or a multiprocessor, and launches that do not end, since a block waits
    for a later one, too.

    Says what kernels print.

    Does not prove anything about other shapes and values, nor about the arguments that TensorRT
    passes: ``kernel_types`` goes through the adapter.
    """
    device = machine_for(subject)
    printed: list[str] = []

    def watch(call: PluginCall) -> None:
        printed.extend(_watch(device, call))

    def watch_other_orders(call: PluginCall) -> None:
        for seed in range(_PATIENT_ORDERS if subject.is_patient else _ORDERS):
            _watch(device, call, seed)

    tally = run_affordable(device, _calls(subject), watch, "sanitizer")
    others = run_affordable(device, _calls(subject), watch_other_orders, "sanitizer, other orders")
    prints = f"; kernels print {printed[0].strip()!r}" if printed else ""
    return f"{tally}; in other orders {others}{prints}"


def _calls(subject: Subject) -> Iterator[PluginCall]:
    for call in subject.calls("cover"):
        yield from [call] if call.has_indices else resized(call)


def _watch(device: MachineDevice, call: PluginCall, seed: int | None = None) -> list[str]:
    """Run a call, and return what its kernels print."""
    printed = []
    for in_place in (False, True) if call.plugin.spec.has_aliases else (False,):
        label = ", in place" * in_place
        label += "" if seed is None else f", order {seed} of blocks and warps"
        machine = device.for_execution(seed)
        run = run_on(machine, call.plugin, call.arrays, in_place=in_place)
        if run.findings:
            raise _failure(call, label, run.findings)
        if seed is not None:
            expect(call, run.outputs, label.removeprefix(", "))
        printed += machine.printed
    return printed


def _failure(call: PluginCall, label: str, findings: Sequence[Finding]) -> Failure:
    first, *others = map(str, findings)
    left_out = [f"and {len(others) - _LISTED} more"] if len(others) > _LISTED else []
    return Failure(
        call.label + label,
        first,
        "nothing to find",
        cause="\n".join([*others[:_LISTED], *left_out]),
        case=call.case,
    )
