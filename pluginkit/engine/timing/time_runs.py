"""Time the runs of an engine: what it computes, apart from copies, in one stream or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from pluginkit.engine.timing.lane import Lane, ReadyContext, Stamps
from pluginkit.engine.timing.layer_times import profile_layers
from pluginkit.engine.timing.nvtx_ranges import no_range, nvtx_ranges
from pluginkit.engine.timing.timing import TimedRun, Timing, TimingOptions

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

_LaneResult = TypeVar("_LaneResult")


def time_runs(
    trt: Any,
    create_runner: Callable[[], Any],
    inputs: Arrays,
    how: TimingOptions,
    plugin_nodes: Sequence[str] = (),
) -> Timing:
    """Run an engine in every stream, and then once more without copies.

    Args:
        trt: TensorRT's module.
        create_runner: returns a TrtRunner for the engine, with an execution context of its own.
        inputs: an array for each input.
        how: how often, and in how many streams.
        plugin_nodes: the names of the plugin nodes, for the layers that are plugins.

    Errors:
        PK543: TensorRT does not run the plan, or its enqueue cannot be captured.
    """
    open_range, nvtx = nvtx_ranges() if how.layers else (no_range, "")
    with ExitStack() as stack:
        contexts = [
            ReadyContext(stack, create_runner(), inputs) for _ in range(how.contexts or how.streams)
        ]
        lanes = [Lane(contexts[at :: how.streams], open_range) for at in range(how.streams)]
        if how.cuda_graph:
            _capture(lanes)
        at_once(lanes, lambda lane: lane.run(how.warm_up - 1, "warm-up"))
        start = time.perf_counter()
        stamps = at_once(lanes, lambda lane: lane.run(how.iterations, "run"))
        with_copies = time.perf_counter() - start
        outputs = contexts[0].outputs
        start = time.perf_counter()
        at_once(lanes, lambda lane: lane.enqueue_all(how.iterations))
        without = time.perf_counter() - start
        layers = None
        if how.layers:
            layers = profile_layers(trt, lanes[0], how, open_range, plugin_nodes)
    count = how.iterations * how.streams
    return Timing(outputs, _runs(stamps), count / without, count / with_copies, layers, nvtx)


def _capture(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        for context in lane.contexts:
            context.capture(lane.stream)


def at_once(lanes: Sequence[Lane], work: Callable[[Lane], _LaneResult]) -> list[_LaneResult]:
    """Do the work of every lane, each in a thread where there are several."""
    if len(lanes) == 1:
        return [work(lanes[0])]
    with ThreadPoolExecutor(len(lanes)) as threads:
        return list(threads.map(work, lanes))


def _runs(stamps: Sequence[Sequence[Stamps]]) -> tuple[TimedRun, ...]:
    """Return all runs by their start."""
    origin = min(lane[0][0] for lane in stamps)
    runs = [
        TimedRun(number, *(1e3 * (each - origin) for each in run))
        for number, lane in enumerate(stamps)
        for run in lane
    ]
    return tuple(sorted(runs, key=lambda run: run.start_ms))
