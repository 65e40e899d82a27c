"""Run kernels again: on the same inputs, and on the rows of a batch in another order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.execution_checks import with_outputs
from pluginkit.checking.executions import POISON, device_of, executions, expect
from pluginkit.checking.outcomes import NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import run_affordable

#: How often one context runs after the first time; in between it runs with other values.
_REPEATS = 5


@check(250, needs=("cases", "tensorrt", "device"))
def determinism(subject: Subject) -> str:
    """Reports whether repeated runs give bitwise equal outputs.

    Runs with other values come in between. It fails only if a run differs from the reference.

    Does not prove determinism: other shapes and GPUs, or another timing, may differ.
    """
    device = device_of(subject)
    varying = []

    def repeat(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            first = [array.tobytes() for array in execution.run()]
            other = call.with_other_values()
            for _ in range(_REPEATS):
                execution.fill(POISON, other)
                expect(other, execution.run(), "run again with other values")
                execution.fill(POISON)
                results = execution.run()
                expect(call, results, "run again")
                if [array.tobytes() for array in results] != first:
                    varying.append(call.label)
                    break

    tally = run_affordable(device, with_outputs(subject), repeat, "determinism")
    bits = f"bits differ between runs: {', '.join(varying)}" if varying else "the same bits"
    return f"{tally}, {bits}"


@check(260, needs=("cases", "tensorrt", "device"))
def batch_permutation(subject: Subject) -> str:
    """Kernels do not mix the rows of a batch unless the reference does.

    Rows of all inputs are permuted along the first axis. If that only permutes the reference's
    outputs, it must only permute the kernel's outputs, within the tolerance.

    Does not prove anything about operators that mix rows: those are left out. Bits may differ, as
    with atomics.
    """
    import numpy as np

    device = device_of(subject)

    def permuted() -> Iterator[PluginCall]:
        for call in with_outputs(subject):
            rows = {len(array) if array.ndim else 1 for array in call.arrays}
            if len(rows) != 1 or rows == {1}:
                continue
            order = np.random.default_rng(0).permutation(rows.pop())
            other = call.with_arrays([array[order] for array in call.arrays], "rows permuted")
            if _is_permuted(call.reference(), other, order):
                yield other

    def agree(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            execution.check()

    chosen = list(permuted())
    if not chosen:
        raise NotRun("an operator that treats the rows of a batch alike")
    return str(run_affordable(device, chosen, agree, "batch_permutation"))


def _is_permuted(results: Any, other: PluginCall, order: Any) -> bool:
    from pluginkit.errors import TensorError

    try:
        permuted = other.reference()
    except TensorError:
        return False
    return all(
        a.ndim and len(a) == len(order) and a[order].tobytes() == b.tobytes()
        for a, b in zip(results, permuted, strict=True)
    )
