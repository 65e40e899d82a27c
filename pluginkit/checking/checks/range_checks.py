"""Compare kernels with the reference where cases rarely look: large values, other attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.shape_checks import has_result
from pluginkit.checking.executions import device_of, executions, expect
from pluginkit.checking.machine_device import machine_for
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import run_affordable
from pluginkit.contract import calls
from pluginkit.contract.plugin import Case
from pluginkit.device.ptx_run import run_on

if TYPE_CHECKING:
    from pluginkit.contract.attributes import AttributeSpec

#: The largest value of an input in ``kernel_overflow``: its exponential is no float32, its square
#: no float16.
_LARGE = 1024.0
#: What is added to integers of so many bits: no float32 holds the sum of the first, no int32 that
#: of the second.
_BEYOND = {32: 2**24, 64: 2**40}


@check(216, needs=("cases", "tensorrt", "device"))
def kernel_overflow(subject: Subject) -> str:
    """Outputs are finite where the reference's are, for floating-point inputs up to 1024.

    The inputs of each case are scaled. An exponential without the maximum subtracted first gives
    infinity there, and so does a square in float16.

    Does not prove that the finite values are right: sums may cancel.
    """
    import numpy as np

    def scaled() -> Iterator[PluginCall]:
        for call in subject.calls("cover"):
            arrays = []
            for dtype, array in zip(call.dtypes, call.arrays, strict=True):
                most = np.abs(array).max(initial=0) if dtype.is_floating else 0
                is_scaled = 0 < most < _LARGE
                arrays.append((array * (_LARGE / most)).astype(array.dtype) if is_scaled else array)
            other = call.with_arrays(arrays, f"scaled to {_LARGE:g}")
            if any(a is not b for a, b in zip(arrays, call.arrays, strict=True)) and has_result(
                other
            ):
                yield other

    device = device_of(subject)

    def stay_finite(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            results = execution.run()
        for port, got, expected in zip(
            call.plugin.spec.outputs, results, call.reference(), strict=False
        ):
            if got.shape != expected.shape or got.dtype.kind in "biu":
                continue
            lost = np.isfinite(expected) & ~np.isfinite(got)
            if lost.any():
                element = tuple(int(index) for index in np.argwhere(lost)[0])
                raise Failure(
                    f"{call.label}: {port.name}{list(element)}",
                    got[element],
                    expected[element],
                    cause=f"{int(lost.sum())} of {lost.size} elements are finite in the reference "
                    "alone.",
                    case=call.case,
                )

    return str(run_affordable(device, scaled(), stay_finite, "kernel_overflow"))


@check(217, needs=("cases", "machine"))
def kernel_integers(subject: Subject) -> str:
    """Kernels agree with the reference on negative and on large integers.

    Changes the integer inputs whose type an output has: these are values and no indices. They are
    negated, and 2^24 or 2^40 is added, which float32 and int32 do not hold. What the reference does
    not take is left out, and calls in which a kernel uses such a value as an index.

    Does not prove anything about sums that overflow.
    """
    import numpy as np

    spec = subject.plugin_class.spec
    of_outputs = {port.variable for port in spec.outputs} - {None}
    device = machine_for(subject)

    def changed() -> Iterator[PluginCall]:
        for call in subject.calls("cover"):
            ports = calls.present_ports(call.plugin)
            for label in ("negated", "large"):
                arrays = [
                    _other_integers(array, label)
                    if port.variable in of_outputs and port.is_on_device and array.dtype.kind == "i"
                    else array
                    for port, array in zip(ports, call.arrays, strict=True)
                ]
                other = call.with_arrays(arrays, f"integers {label}")
                if any(
                    not np.array_equal(a, b) for a, b in zip(arrays, call.arrays, strict=True)
                ) and has_result(other):
                    yield other

    def agree(call: PluginCall) -> None:
        run = run_on(device.for_execution(), call.plugin, call.arrays)
        if not run.findings:
            expect(call, run.outputs)

    return str(run_affordable(device, changed(), agree, "kernel_integers"))


def _other_integers(array: Any, label: str) -> Any:
    import numpy as np

    if label == "negated":
        return np.negative(array)
    beyond = _BEYOND.get(array.itemsize * 8, 0)
    return array + array.dtype.type(beyond)


@check(218, needs=("cases", "tensorrt", "device"))
def kernel_attributes(subject: Subject) -> str:
    """Kernels agree with the reference for values of attributes that no case has.

    A bool is turned over, each choice is taken, and a float that all cases share gets another
    value, as far as the declaration and the reference take it: one attribute at a time, with the
    first case.

    Does not prove anything about ints, strings without choices, tuples and arrays.
    """
    device = device_of(subject)
    spec = subject.plugin_class.spec

    def others() -> Iterator[PluginCall]:
        every = list(subject.calls("first"))
        for one in spec.attributes:
            taken = {repr(getattr(call.plugin, one.name)) for call in every}
            for value in _other_values(one, getattr(every[0].plugin, one.name)):
                if repr(value) in taken or (one.kind == "float" and len(taken) > 1):
                    continue
                for call in every:
                    other = _with_attribute(call, one.name, value)
                    if other is not None and has_result(other):
                        yield other
                        break

    def agree(call: PluginCall) -> None:
        with executions(call, device=device) as (execution,):
            execution.check()

    if not spec.attributes:
        raise NotRun("a plugin with attributes")
    return str(run_affordable(device, others(), agree, "kernel_attributes"))


def _other_values(spec: AttributeSpec, value: Any) -> list[Any]:
    if spec.choices is not None:
        return list(spec.choices)
    if spec.kind == "bool":
        return [not value]
    return [0.75 * value + 0.25] if isinstance(value, float) else []


def _with_attribute(call: PluginCall, name: str, value: Any) -> PluginCall | None:
    """Return the call with another value of an attribute, None if the class refuses it."""
    attributes = {**call.plugin.attribute_values, name: value}
    try:
        plugin = type(call.plugin)(**attributes)
        present = [port.name for port in calls.present_ports(call.plugin)]
        plugin = plugin.with_inputs(*present)
        if calls.refuses_types(plugin, call.describe()):
            return None
    except Exception:  # the author's methods may raise anything; other checks report it
        return None
    label = f"{call.label}, {name}={value!r}"
    case = Case(call.case.name, call.case.inputs, attributes)
    return replace(call, plugin=plugin, label=label, case=case)
