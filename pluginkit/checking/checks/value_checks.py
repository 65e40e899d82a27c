"""Compare kernels with the reference: types, sizes, special values, memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.shape_checks import resized
from pluginkit.checking.executions import POISON, Execution, device_of, executions
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import run_affordable
from pluginkit.contract.dtypes import DType, float16

#: Bytes that are, as floating-point numbers, huge, huge and negative, NaN, 0, small and negative. A
#: sum, product, minimum or maximum that one of them does not change is changed by another one.
_POISONS = (POISON, 0xFB, 0xFF, 0x00, 0xA5)


def _agree(subject: Subject, sequence: Iterable[PluginCall], share: str) -> str:
    device = device_of(subject)

    def agree(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            execution.check()

    return str(run_affordable(device, sequence, agree, share))


@check(200, needs=("cases", "tensorrt", "device"))
def kernel_types(subject: Subject) -> str:
    """Kernels agree with the reference, on every case in every combination of types.

    Within the plugin's tolerance, through the adapter, driven in TensorRT's order.

    Does not prove anything about other sizes: ``kernel_sizes`` and ``kernel_empty`` look further.
    """
    return _agree(subject, subject.calls(), "kernel_types")


@check(205, needs=("cases", "tensorrt", "device"))
def kernel_sizes(subject: Subject) -> str:
    """Kernels agree with the reference with every dimension odd, and with every one doubled.

    Cases with integer inputs are not resized: repeated indices may make the result ambiguous.

    Does not prove anything about sizes beyond 32 bits.
    """

    def sizes() -> Iterator[PluginCall]:
        for call in subject.calls("cover"):
            if not call.has_indices:
                yield from (one for one in resized(call) if min(_dims(one), default=2) > 1)

    return _agree(subject, sizes(), "kernel_sizes")


@check(210, needs=("cases", "tensorrt", "device"))
def kernel_empty(subject: Subject) -> str:
    """Kernels agree with the reference on empty and size-1 dimensions.

    Runs every case that has one, and every case reduced to 0 and to 1 if the plugin accepts that.

    Does not prove that TensorRT calls the plugin for empty tensors: it may not.
    """

    def small() -> Iterator[PluginCall]:
        for call in subject.calls("cover"):
            for one in [call] if call.has_indices else resized(call):
                if min(_dims(one), default=2) < 2:
                    yield one

    return _agree(subject, small(), "kernel_empty")


@check(215, needs=("cases", "tensorrt", "device"))
def kernel_nan_inf(subject: Subject) -> str:
    """Outputs have NaN and infinities where the reference has them, and nowhere else.

    Each case runs with a few elements of every floating-point input NaN, infinite and negative
    infinite; a single such input is also all of it. Where all outputs are integers or booleans, a
    few elements are denormal, too: a kernel without the option ``-ftz=false`` takes these for 0.

    Does not prove anything about signed zeros, denormal outputs or the bits of a NaN.
    """

    def special() -> Iterator[PluginCall]:
        import numpy as np

        for call in subject.calls("cover"):
            floating = sum(dtype.is_floating and a.size > 0 for dtype, a in _typed(call))
            for value, is_all in product((np.nan, np.inf, -np.inf), (False, True)):
                if not floating or (is_all and floating > 1):  # of several, the order may matter
                    continue
                label = f"all {value}" if is_all else f"with {value}"
                yield _with_values(call, value, label, is_all=is_all)
            if floating and all(array.dtype.kind in "biu" for array in call.reference()):
                yield _with_values(call, None, "with denormals")

    return _agree(subject, special(), "kernel_nan_inf")


def _with_values(
    call: PluginCall, value: float | None, label: str, *, is_all: bool = False
) -> PluginCall:
    """Return the call with a value in all, or about three, elements of its floating inputs.

    None stands for half of the smallest normal number.
    """
    arrays = []
    for dtype, array in _typed(call):
        changed = array.copy()
        if dtype.is_floating:
            denormal = 2.0**-15 if dtype is float16 else 2.0**-127
            step = 1 if is_all else max(array.size // 3, 1)
            changed.reshape(-1)[::step] = denormal if value is None else value
        arrays.append(changed)
    return call.with_arrays(arrays, label)


def _dims(call: PluginCall) -> list[int]:
    return [dim for shape in call.shapes for dim in shape]


def _typed(call: PluginCall) -> Iterator[tuple[DType, Any]]:
    return zip(call.dtypes, call.arrays, strict=True)


@check(220, needs=("cases", "tensorrt", "device"))
def canaries(subject: Subject) -> str:
    """Nothing is written outside outputs and workspace; inputs keep their values.

    Every case and its resizes run twice, with different values. The 512 random bytes before and
    after each buffer must not change. The PTX machine also checks every access.

    Does not prove that nothing is read outside: ``sanitizer`` does.
    """
    device = device_of(subject)

    def stay_inside(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            for one in (call, call.with_other_values()):
                execution.fill(POISON, one)
                execution.run()
                expect_inside(execution, one)

    sized = (
        one
        for call in subject.calls("cover")
        for one in ([call] if call.has_indices else resized(call))
    )
    return f"{run_affordable(device, sized, stay_inside, 'canaries')}, twice each"


def expect_inside(execution: Execution, call: PluginCall) -> None:
    """Expect that the enqueue of a call wrote to its outputs and workspace alone.

    Errors:
        Failure: it wrote around a buffer, or to an input.
    """
    for buffer in (*execution.inputs, *execution.outputs, execution.workspace):
        damage = buffer.damage()
        if damage:
            raise Failure(call.label, damage, "writes inside", case=call.case)
    for index, (buffer, array) in enumerate(zip(execution.inputs, call.device_arrays, strict=True)):
        if index not in execution.aliased and buffer.read() != array.tobytes():
            raise Failure(
                call.label, f"wrote to {buffer.name}", "inputs left alone", case=call.case
            )


@check(225, needs=("cases", "tensorrt", "device"))
def poisoned_outputs(subject: Subject) -> str:
    """Every output element is written, and nothing depends on the earlier content of memory.

    Each case runs on outputs and workspace filled with one byte, then with another, and agrees with
    the reference each time.

    Does not prove anything about elements whose right value happens to be these bytes.
    """
    device = device_of(subject)

    def run_on_poison(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            for poison in _POISONS:
                execution.fill(poison)
                execution.check(f"memory full of {poison:#04x}")

    tally = run_affordable(device, subject.calls("cover"), run_on_poison, "poisoned_outputs")
    return f"{tally}, {len(_POISONS)} times each"


@check(227, needs=("cases", "tensorrt", "device"))
def kernel_in_place(subject: Subject) -> str:
    """Outputs that may alias an input are right both in its memory and in memory of their own.

    Each case runs both ways, whatever the installed TensorRT supports.

    Does not prove anything about plugins without aliased outputs.
    """
    if not subject.plugin_class.spec.has_aliases:
        raise NotRun("an output that aliases an input")
    device = device_of(subject)

    def run_both_ways(call: PluginCall) -> None:
        for in_place in (True, False):
            label = "in place" if in_place else "apart from its input"
            with executions(call, device=device, in_place=in_place) as (execution,):
                execution.check(label)

    tally = run_affordable(device, subject.calls("cover"), run_both_ways, "kernel_in_place")
    return f"{tally}, both ways"
