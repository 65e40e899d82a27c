"""Measure each layer of an engine with TensorRT's IProfiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluginkit.engine.plan.engine_layers import layers_of
from pluginkit.engine.timing.lane import Lane
from pluginkit.engine.timing.nvtx_ranges import OpenNvtxRange
from pluginkit.engine.timing.timing import LayerTime, TimingOptions
from pluginkit.errors import RunError


def profile_layers(
    trt: Any, lane: Lane, how: TimingOptions, open_range: OpenNvtxRange, plugin_nodes: Sequence[str]
) -> tuple[LayerTime, ...]:
    """Run the first context of a lane again, with an IProfiler, and return the time of each layer.

    TensorRT puts events between the layers for it, which take time of their own: no other run has a
    profiler. A CUDA graph is captured anew, with these events in it.

    Args:
        trt: TensorRT's module.
        lane: the stream and its contexts.
        how: how often to run, and whether as a CUDA graph.
        open_range: opens an NVTX range.
        plugin_nodes: the names of the plugin nodes.

    Errors:
        PK543: TensorRT does not run the plan, or measures no layers.
    """
    ready = lane.contexts[0]
    profiler = _profiler(trt)
    ready.context.profiler = profiler
    ready.context.enqueue_emits_profile = False  # so that it waits for the run, not in the enqueue
    if how.cuda_graph:
        ready.capture(lane.stream)
    runs: list[dict[str, float]] = []
    for number in range(how.iterations):
        with open_range(f"profiled run {number}"):
            ready.enqueue(lane.stream)
        lane.stream.synchronize()
        profiler.times_ms = {}
        if not ready.context.report_to_profiler() or not profiler.times_ms:
            raise RunError(
                "PK543",
                "TensorRT measured no layers of the plan.",
                fix="leave out --profile layers, or --cuda-graph.",
            )
        runs.append(profiler.times_ms)
    plugins = {*plugin_nodes, *_plugin_layers(trt, ready.context.engine)}
    names = dict.fromkeys(name for run in runs for name in run)
    return tuple(
        LayerTime(name, name in plugins, tuple(run.get(name, 0.0) for run in runs))
        for name in names
    )


def _profiler(trt: Any) -> Any:
    class LayerProfiler(trt.IProfiler):  # type: ignore[misc]
        """Adds up what each layer takes in a run; a layer in a loop is reported for each pass."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times_ms: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times_ms[layer_name] = self.times_ms.get(layer_name, 0.0) + ms

    return LayerProfiler()


def _plugin_layers(trt: Any, engine: Any) -> list[str]:
    """Return the layers that the inspector calls plugins; only a detailed engine tells."""
    return [
        str(layer["Name"])
        for layer in layers_of(trt, engine)
        if str(layer.get("LayerType", "")).startswith("Plugin")
    ]
