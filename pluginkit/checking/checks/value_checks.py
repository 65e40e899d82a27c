"""Kernels against the reference: types, sizes, special values, memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pluginkit.checking.check import Failure, NotRun, check
from pluginkit.checking.checks.shape_checks import resized
from pluginkit.checking.guarded_buffers import POISON, device_of, executions
from pluginkit.checking.plugin_under_test import Call, Subject


def _agree(subject: Subject, sequence: Iterator[Call]) -> int:
    device = device_of(subject)
    count = 0
    for call in sequence:
        with executions(call, device=device) as (execution,):
            execution.check()
        count += 1
    if not count:
        raise NotRun("a case of that kind")
    return count


@check(200, needs=("cases", "tensorrt", "device"))
def kernel_types(subject: Subject) -> str:
    """Kernels agree with the reference, on every case in every combination of types.

    Within the plugin's tolerance, through the adapter, driven in TensorRT's order.

    Does not prove anything about other sizes: ``kernel_sizes`` and ``kernel_empty`` look further.
    """
    return f"{_agree(subject, subject.calls())} calls"


@check(205, needs=("cases", "tensorrt", "device"))
def kernel_sizes(subject: Subject) -> str:
    """Kernels agree with the reference where every dimension is odd, and doubled.

    Cases with integer inputs are left as they are: repeated, indices may leave a result open.

    Does not prove anything about sizes beyond 32 bits.
    """

    def sizes() -> Iterator[Call]:
        for call in subject.calls("cover"):
            if not call.has_indices:
                yield from (one for one in resized(call) if min(_dims(one), default=2) > 1)

    return f"{_agree(subject, sizes())} calls"


@check(210, needs=("cases", "tensorrt", "device"))
def kernel_empty(subject: Subject) -> str:
    """Empty and size-1 dimensions neither fail nor differ from the reference.

    Every case that has one, and every case reduced to 0 and to 1 where the plugin accepts that.

    Does not prove that TensorRT calls the plugin for empty tensors: it may not.
    """

    def small() -> Iterator[Call]:
        for call in subject.calls("cover"):
            for one in [call] if call.has_indices else resized(call):
                if min(_dims(one), default=2) < 2:
                    yield one

    return f"{_agree(subject, small())} calls"


@check(215, needs=("cases", "tensorrt", "device"))
def kernel_nan_inf(subject: Subject) -> str:
    """NaN and infinities come out where the reference has them, and nowhere else.

    Does not prove anything about signed zeros, denormals or the bits of a NaN.
    """

    def special() -> Iterator[Call]:
        import numpy as np

        for call in subject.calls("cover"):
            if not any(dtype.is_floating and a.size for dtype, a in _typed(call)):
                continue
            for value in (np.nan, np.inf, -np.inf):
                arrays = []
                for dtype, array in _typed(call):
                    changed = array.copy()
                    if dtype.is_floating:
                        changed.reshape(-1)[:: max(array.size // 3, 1)] = value
                    arrays.append(changed)
                yield call.with_arrays(arrays, f"with {value}")

    return f"{_agree(subject, special())} calls"


def _dims(call: Call) -> list[int]:
    return [dim for shape in call.shapes for dim in shape]


def _typed(call: Call) -> Iterator[tuple[Any, Any]]:
    return zip(call.dtypes, call.arrays, strict=True)


@check(220, needs=("cases", "tensorrt", "device"))
def canaries(subject: Subject) -> str:
    """Nothing is written outside outputs and workspace; inputs keep their values.

    512 bytes before and after each buffer are watched, on every case and its resizes.

    Does not prove that nothing is read outside: compute-sanitizer does.
    """
    device = device_of(subject)
    count = 0
    for call in subject.calls("cover"):
        for sized in [call] if call.has_indices else resized(call):
            with executions(sized, device=device) as (execution,):
                execution.run()
                for buffer in (*execution.inputs, *execution.outputs, execution.workspace):
                    damage = buffer.damage()
                    if damage:
                        raise Failure(sized.label, damage, "writes inside", case=sized.case)
                inputs = zip(execution.inputs, sized.device_arrays, strict=True)
                for index, (buffer, array) in enumerate(inputs):
                    if index not in execution.aliased and buffer.read() != array.tobytes():
                        raise Failure(
                            sized.label,
                            f"wrote to {buffer.name}",
                            "inputs left alone",
                            case=sized.case,
                        )
            count += 1
    return f"{count} calls"


@check(225, needs=("cases", "tensorrt", "device"))
def poisoned_outputs(subject: Subject) -> str:
    """Every output element is written, and nothing depends on what memory held before.

    Each case runs on outputs and workspace full of different bytes, and agrees with the reference
    each time.

    Does not prove anything about elements whose right value happens to be all of these bytes.
    """
    device = device_of(subject)
    count = 0
    for call in subject.calls("cover"):
        with executions(call, device=device) as (execution,):
            for poison in (POISON, 0xFF, 0x00, 0x3C):
                execution.fill(poison)
                execution.check(f"memory full of {poison:#04x}")
        count += 1
    return f"{count} calls, 4 times each"
