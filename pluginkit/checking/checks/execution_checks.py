"""Kernels in an application's hands: streams, shapes, contexts, graphs, runs."""

from __future__ import annotations

import threading
from typing import Any

from pluginkit.checking.check import Failure, NotRun, check
from pluginkit.checking.guarded_buffers import (
    POISON,
    CudaDevice,
    Execution,
    device_of,
    executions,
    expect,
    layer_for,
)
from pluginkit.checking.plugin_under_test import Call, Subject

#: Runs of each thread, and of one context for determinism.
_RUNS, _REPEATS = 5, 10


def _not_empty(subject: Subject) -> list[Call]:
    chosen = [c for c in subject.calls("first") if any(a.size for a in c.reference())]
    if not chosen:
        raise NotRun("a case with outputs")
    return chosen


@check(230, needs=("cases", "tensorrt", "cuda"))
def stream(subject: Subject) -> str:
    """All work is on the stream that ``enqueue`` gets, in its order.

    The stream first waits, then copies the inputs to where the kernels read them: work on another
    stream would read poison. What follows on the stream reads the outputs.

    Does not prove that enqueue returns before its work is done: ``graph_capture`` shows
    synchronisation.
    """
    device = CudaDevice()
    chosen = _not_empty(subject)
    for call in chosen:
        with executions(call, device=device) as (execution,):
            execution.run()  # compiles, so that nothing but the work is left
            execution.fill(POISON)
            sources = [device.cupy.array(buffer.buffer) for buffer in execution.inputs]
            for buffer in execution.inputs:
                buffer.fill(0)
            _delay(device)
            for source, buffer in zip(sources, execution.inputs, strict=True):
                device.cupy.cuda.runtime.memcpyAsync(
                    buffer.buffer.data.ptr, source.data.ptr, source.nbytes, 3, device.stream
                )
            execution.enqueue()
            expect(call, execution.results(), "behind other work on the stream")
    return f"{len(chosen)} calls"


_SPIN = """
extern "C" __global__ void spin(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


def _delay(device: CudaDevice) -> None:
    """Keep the stream busy for some ten milliseconds."""
    kernel = device.cupy.RawKernel(_SPIN, "spin")
    kernel((1,), (1,), (20_000_000,), stream=device.queue)


@check(235, needs=("cases", "tensorrt", "device"))
def two_shapes(subject: Subject) -> str:
    """One execution context takes one shape after another, and the first one again.

    Does not prove anything about shapes outside the cases and their resizes.
    """
    device = device_of(subject)
    count = 0
    for call in _not_empty(subject):
        other = call.resized(lambda dim: 2 * dim, "doubled")
        if other is None or call.has_indices:
            other = _smaller(call)
        if other is None:
            continue
        with layer_for(call, [other]).context() as context:
            for one in (call, other, call):
                expect(one, Execution(one, context, device).run(), "one context, several shapes")
        count += 1
    if not count:
        raise NotRun("two shapes: the plugin accepts no resized case")
    return f"{count} pairs of shapes"


def _smaller(call: Call) -> Call | None:
    """The first half of each input along the first axis, where the plugin accepts that."""
    from pluginkit.errors import TensorError

    if any(array.ndim == 0 or len(array) < 2 for array in call.arrays):
        return None
    halves = call.with_arrays([a[: len(a) // 2].copy() for a in call.arrays], "first half")
    try:
        halves.reference()
    except TensorError:
        return None
    return halves


@check(240, needs=("cases", "tensorrt", "device"))
def two_contexts(subject: Subject) -> str:
    """Two contexts of one engine, in turn and in two threads at once, leave each other alone.

    Each has buffers and a stream of its own.

    Does not prove the absence of every race: threads meet by chance.
    """
    chosen = _not_empty(subject)
    for call in chosen:
        with layer_for(call).context() as one, layer_for(call).context() as two:
            pair = [
                Execution(call, one, device_of(subject)),
                Execution(call, two, device_of(subject)),
            ]
            for execution in pair:
                execution.enqueue()
            for execution in pair:
                expect(call, execution.results(), "two contexts in turn")
            _at_once(call, pair)
    return f"{len(chosen)} calls"


def _at_once(call: Call, pair: list[Execution]) -> None:
    failures: list[Exception] = []

    def work(execution: Execution) -> None:
        try:
            for _ in range(_RUNS):
                execution.check("two contexts at once")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(execution,)) for execution in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@check(245, needs=("cases", "tensorrt", "device"))
def clone_independence(subject: Subject) -> str:
    """A context goes on working after another one of the same engine was used and destroyed.

    Does not prove that memory of the destroyed one is given back.
    """
    device = device_of(subject)
    chosen = _not_empty(subject)
    for call in chosen:
        layer = layer_for(call)
        with layer.context() as kept:
            survivor = Execution(call, kept, device)
            survivor.check("before")
            with layer.context() as other:
                Execution(call, other, device).check("the other context")
            survivor.fill(POISON)
            survivor.check("after another context was destroyed")
    return f"{len(chosen)} calls"


@check(250, needs=("cases", "tensorrt", "device"))
def determinism(subject: Subject) -> str:
    """Reports whether repeated runs give the same bits.

    Fails only where one of them differs from the reference.

    Does not prove determinism: other shapes, GPUs and luck may differ.
    """
    device = device_of(subject)
    varying = []
    for call in _not_empty(subject):
        with executions(call, device=device) as (execution,):
            first = [array.tobytes() for array in execution.run()]
            for _ in range(_REPEATS):
                execution.fill(POISON)
                results = execution.run()
                expect(call, results, "run again")
                if [array.tobytes() for array in results] != first:
                    varying.append(call.label)
                    break
    return (
        f"bits differ between runs: {', '.join(varying)}" if varying else "the same bits each time"
    )


@check(255, needs=("cases", "tensorrt", "cuda"))
def graph_capture(subject: Subject) -> str:
    """An enqueue can be captured in a CUDA graph, and the graph replayed with new inputs.

    So an enqueue neither synchronises, nor allocates, nor copies from the host after its first run
    of a shape, and keeps no value of an input.

    Does not prove anything about the first run, which may compile.
    """
    device = CudaDevice()
    chosen = _not_empty(subject)
    for call in chosen:
        with executions(call, device=device) as (execution,):
            execution.run()
            graph = _captured(device, execution)
            for other in (call, _negated(call)):
                for buffer in execution.outputs:
                    buffer.fill(POISON)
                execution.write_inputs(other)
                graph.launch(device.queue)
                expect(other, execution.results(), "a replayed CUDA graph")
    return f"{len(chosen)} calls"


def _captured(device: CudaDevice, execution: Execution) -> Any:
    device.queue.begin_capture()
    try:
        execution.enqueue()
    except Exception as error:
        cause: str = str(error)
    else:
        cause = ""
    try:
        graph = device.queue.end_capture()
    except Exception as error:
        cause, graph = cause or str(error), None
    if cause or graph is None:
        raise Failure(
            f"{execution.call.label}: capture",
            cause or "no graph",
            "a captured enqueue",
            cause="synchronising, allocating and copying from the host cannot be captured.",
            case=execution.call.case,
        )
    return graph


def _negated(call: Call) -> Call:
    import numpy as np

    arrays = [
        np.negative(array) if dtype.is_floating else array
        for dtype, array in zip(call.dtypes, call.arrays, strict=True)
    ]
    return call.with_arrays(arrays, "negated")


@check(260, needs=("cases", "tensorrt", "device"))
def batch_permutation(subject: Subject) -> str:
    """Where the reference does not mix the rows of a batch, neither do the kernels.

    Rows of all inputs are permuted along the first axis; where the reference's outputs are then the
    permuted outputs, the kernel's must be so too, within the tolerance.

    Does not prove anything about operators that mix rows: those are left out. The bits may differ,
    as those of atomics do.
    """
    import numpy as np

    device = device_of(subject)
    count = 0
    for call in _not_empty(subject):
        rows = {len(array) if array.ndim else 1 for array in call.arrays}
        if len(rows) != 1 or rows == {1}:
            continue
        order = np.random.default_rng(0).permutation(rows.pop())
        other = call.with_arrays([array[order] for array in call.arrays], "rows permuted")
        if not _is_permuted(call.reference(), other, order):
            continue
        with executions(other, device=device) as (execution,):
            execution.check()
        count += 1
    if not count:
        raise NotRun("an operator that treats the rows of a batch alike")
    return f"{count} calls"


def _is_permuted(results: Any, other: Call, order: Any) -> bool:
    from pluginkit.errors import TensorError

    try:
        permuted = other.reference()
    except TensorError:
        return False
    return all(
        a.ndim and len(a) == len(order) and a[order].tobytes() == b.tobytes()
        for a, b in zip(results, permuted, strict=True)
    )
