"""Run kernels as applications do: on streams, with new shapes, in threads, in CUDA graphs."""

from __future__ import annotations

import threading
from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.executions import (
    POISON,
    Execution,
    device_of,
    executions,
    expect,
    layer_for,
)
from pluginkit.checking.guarded_buffers import GuardedBuffer, GuardedDevice
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import run_affordable
from pluginkit.device.memory import CupyMemory
from pluginkit.quantities import counted

#: How often each thread runs.
_RUNS = 5


def with_outputs(subject: Subject) -> list[PluginCall]:
    """Return the cases that have something to compute, in their first types.

    Errors:
        NotRun: there is none.
    """
    chosen = [c for c in subject.calls("first") if any(a.size for a in c.reference())]
    if not chosen:
        raise NotRun("a case with outputs")
    return chosen


@check(230, needs=("cases", "tensorrt", "cuda"))
def stream(subject: Subject) -> str:
    """All work is on the stream that ``enqueue`` gets, in its order.

    The stream first waits, then copies the inputs to where the kernels read them, so that work on
    another stream would read poison. Later work on the stream reads the outputs.

    Does not prove that enqueue returns before its work is done: ``graph_capture`` shows
    synchronisation.
    """
    memory = CupyMemory()
    device = GuardedDevice(memory)
    chosen = with_outputs(subject)
    for call in chosen:
        with executions(call, device=device) as (execution,):
            execution.run()  # compiles, so that the next run only executes
            execution.fill(POISON)
            inputs = [buffer for buffer in execution.inputs if isinstance(buffer, GuardedBuffer)]
            sources = [memory.cupy.array(buffer.buffer) for buffer in inputs]
            for buffer in inputs:
                buffer.fill(0)
            _delay(memory)
            for source, buffer in zip(sources, inputs, strict=True):
                memory.cupy.cuda.runtime.memcpyAsync(
                    buffer.buffer.data.ptr, source.data.ptr, source.nbytes, 3, device.stream
                )
            execution.enqueue()
            expect(call, execution.results(), "behind other work on the stream")
    return counted(len(chosen), "call")


_SPIN = """
extern "C" __global__ void spin(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


def _delay(memory: CupyMemory) -> None:
    """Keep the stream busy for some ten milliseconds."""
    kernel = memory.cupy.RawKernel(_SPIN, "spin")
    kernel((1,), (1,), (20_000_000,), stream=memory.queue)


@check(235, needs=("cases", "tensorrt", "device"))
def two_shapes(subject: Subject) -> str:
    """One execution context handles several shapes one after the other, and the first one again.

    Does not prove anything about shapes outside the cases and their resizes.
    """
    device = device_of(subject)

    def alternate(call: PluginCall) -> None:
        other = pairs[call.label]
        with layer_for(call, [other]).context() as context:
            for one in (call, other, call):
                expect(one, Execution(one, context, device).run(), "one context, several shapes")

    chosen = with_outputs(subject)
    found = {call.label: other_shape(call) for call in chosen}
    pairs = {label: other for label, other in found.items() if other is not None}
    if not pairs:
        raise NotRun("two shapes: the plugin accepts no resized case")
    tally = run_affordable(device, [c for c in chosen if c.label in pairs], alternate, "two_shapes")
    return f"{tally}, each with another shape"


def other_shape(call: PluginCall) -> PluginCall | None:
    """Return a similar call of another shape, or None if the plugin accepts none."""
    doubled = call.resized(lambda dim: 2 * dim, "doubled")
    return _smaller(call) if doubled is None or call.has_indices else doubled


def _smaller(call: PluginCall) -> PluginCall | None:
    """Return the call with half of the first axis, if the plugin accepts that."""
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
    """Two contexts of one engine do not affect each other, alternating and in two threads.

    Each has its own buffers and stream.

    Does not prove the absence of races: it depends on the timing of threads.
    """
    devices = device_of(subject), device_of(subject)

    def use_both(call: PluginCall) -> None:
        with layer_for(call).context() as one, layer_for(call).context() as two:
            pair = [
                Execution(call, context, device)
                for context, device in zip((one, two), devices, strict=True)
            ]
            for execution in pair:
                execution.enqueue()
            for execution in pair:
                expect(call, execution.results(), "two contexts in turn")
            _at_once(call, pair)

    return str(run_affordable(devices[0], with_outputs(subject), use_both, "two_contexts"))


def _at_once(call: PluginCall, pair: list[Execution]) -> None:
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
    """A context still works after another one of the same engine was used and destroyed.

    Does not prove that the memory of the destroyed one is freed.
    """
    device = device_of(subject)

    def outlive(call: PluginCall) -> None:
        layer = layer_for(call)
        with layer.context() as kept:
            survivor = Execution(call, kept, device)
            survivor.check("before")
            with layer.context() as other:
                Execution(call, other, device).check("the other context")
            survivor.fill(POISON)
            survivor.check("after another context was destroyed")

    return str(run_affordable(device, with_outputs(subject), outlive, "clone_independence"))


@check(255, needs=("cases", "tensorrt", "cuda"))
def graph_capture(subject: Subject) -> str:
    """An enqueue can be captured in a CUDA graph, and the graph replayed with new inputs.

    So after its first run of a shape, an enqueue does not synchronise, allocate or copy from the
    host, and keeps no values of its inputs.

    Does not prove anything about the first run, which may compile.
    """
    memory = CupyMemory()
    device = GuardedDevice(memory)
    chosen = with_outputs(subject)
    for call in chosen:
        with executions(call, device=device) as (execution,):
            execution.run()
            graph = captured(memory, execution)
            for other in (call, call.with_other_values()):
                for buffer in execution.outputs:
                    buffer.fill(POISON)
                execution.write_inputs(other)
                graph.launch(memory.queue)
                expect(other, execution.results(), "a replayed CUDA graph")
    return counted(len(chosen), "call")


def captured(memory: CupyMemory, execution: Execution) -> Any:
    """Return the CUDA graph that captured an enqueue.

    Errors:
        Failure: it cannot be captured.
    """
    memory.queue.begin_capture()
    try:
        execution.enqueue()
    except Exception as error:
        cause: str = str(error)
    else:
        cause = ""
    try:
        graph = memory.queue.end_capture()
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
