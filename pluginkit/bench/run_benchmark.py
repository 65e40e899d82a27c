"""Check and then time the plugin and its peers on each workload."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from pluginkit.bench.bench_report import OWN, BenchReport, Measurement, now
from pluginkit.bench.loaded_workload import LoadedWorkload, WorkloadBuffers
from pluginkit.bench.measuring_device import MeasuringDevice
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.checking.trt_double.adapters import interfaces_of
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.trt.flavour import Flavour, load_flavour

Progress = Callable[[str], None]


def run_benchmark(
    name: str,
    workloads: Sequence[Workload],
    peers: Sequence[Peer],
    device: MeasuringDevice,
    *,
    flavour: Flavour | None = None,
    progress: Progress = lambda text: None,
) -> BenchReport:
    """Measure a plugin and its peers.

    Args:
        name: of the benchmark, as a rule the plugin's.
        workloads: what to measure.
        peers: what else to measure.
        device: the GPU.
        flavour: the TensorRT whose types the adapters get.
        progress: called with each workload's name.
    """
    flavour = flavour or load_flavour()
    launch_us, launched_by = device.driver_launch()
    environment = device.environment() | {"tensorrt": f"{flavour.name} {flavour.version}"}
    report = BenchReport(
        name, now(), environment, device.copy_bandwidth(), launch_us, launched_by, device.method
    )
    for workload in workloads:
        progress(f"{workload.case} {workload.variant} {workload.dtypes[0].name}")
        report.results.extend(
            WorkloadBench(
                workload, device, flavour=flavour, bandwidth=report.copy_bandwidth
            ).results(peers)
        )
        device.free()
    return report


class WorkloadBench:
    """Measures one workload on a device.

    Args:
        bandwidth: of a copy, in bytes per second, which gives the floor.
        reference_seconds: where the reference has not ended after these, the first peer's results
            are those that are expected.
    """

    def __init__(
        self,
        workload: Workload,
        device: MeasuringDevice,
        *,
        flavour: Flavour,
        bandwidth: float,
        reference_seconds: float | None = None,
    ) -> None:
        self._loaded = LoadedWorkload(workload, device, reference_seconds)
        self._device = device
        self._flavour = flavour
        self._plugin = workload.plugin
        self._floor_us = self._loaded.compulsory_bytes / bandwidth * 1e6

    def results(self, peers: Sequence[Peer]) -> Iterator[Measurement]:
        """Yield pluginkit's result, then each peer's."""
        if self._loaded.expected_of is None:
            self._expect_of(peers)
        yield self._own()
        for peer in peers:
            yield self._peers(peer)

    def _expect_of(self, peers: Sequence[Peer]) -> None:
        """Expect what the first peer that can computes, or else the reference after all."""
        first = self._loaded.sets[0]
        for peer in peers:
            with suppress(Exception):  # a peer may fail in any way
                call = peer.bind(self._plugin, first.inputs, first.outputs)
                return self._loaded.expect(call, peer.name)
        return self._loaded.expect_reference()

    def _own(self) -> Measurement:
        interfaces, sets = interfaces_of(type(self._plugin)), self._loaded.sets
        with ExitStack() as stack:
            bound = {
                each: list(map(stack.enter_context(self._through_adapter(each)), sets))
                for each in interfaces
            }
            error = max(self._loaded.error(listed[0]) for listed in bound.values())
            if not error <= self._loaded.tolerance():
                return self._result(OWN, "wrong", f"error {error:.3g}", error)
            host = {
                f"host_{each}_us": statistics.median(times)
                for each, listed in bound.items()
                if (times := self._device.host_times(listed))
            }
            by = self._loaded.expected_of
            note = "" if by == "reference" else f"compared with {by}"
            return self._timed(OWN, error, bound["v3"], note=note, **host)

    @contextmanager
    def _through_adapter(self, interface: Any) -> Iterator[Callable[[WorkloadBuffers], TimedCall]]:
        """Yield a function that binds buffers to an enqueue through the whole adapter."""
        shapes = self._loaded.shapes
        profile = Profile(shapes, shapes, shapes, self._loaded.values)
        layer = build_layer(
            self._plugin,
            profile,
            self._loaded.workload.dtypes,
            interface=interface,
            flavour=self._flavour,
        )
        with layer.context() as context:
            inputs, outputs = context.descs(shapes)
            context.announce(inputs, outputs)
            scratch = self._device.xp.empty(max(layer.workspace_bytes, 1), self._device.xp.uint8)
            workspace, enqueue = self._device.pointer(scratch), context.adapter.enqueue
            stream = self._device.stream

            def bind(buffers: WorkloadBuffers) -> TimedCall:
                sources = [tensor.pointer for tensor in buffers.inputs]
                targets = [tensor.pointer for tensor in buffers.outputs]
                return lambda: enqueue(inputs, outputs, sources, targets, workspace, stream)

            yield bind
            self._device.synchronize()

    def _peers(self, peer: Peer) -> Measurement:
        try:
            bound = [
                peer.bind(self._plugin, each.inputs, each.outputs) for each in self._loaded.sets
            ]
            error = self._loaded.error(bound[0])
            if not error <= self._loaded.tolerance():
                return self._result(peer.name, "wrong", f"error {error:.3g}", error)
            return self._timed(peer.name, error, bound)
        except NotOffered as reason:
            return self._result(peer.name, "not offered", str(reason))
        except Exception as failure:  # a peer may fail in any way; that is its result
            text = f"{type(failure).__name__}: {failure}".split("\n")[0]
            return self._result(peer.name, "failed", text[:200])

    def _timed(
        self, name: str, error: float, bound: Sequence[TimedCall], **more: Any
    ) -> Measurement:
        times = sorted(self._device.device_times(bound))
        tenth = len(times) // 10
        return self._result(
            name,
            "ok",
            error=error,
            device_us=statistics.median(times),
            low_us=times[tenth],
            high_us=times[-1 - tenth],
            **more,
        )

    def _result(
        self, name: str, status: Any, note: str = "", error: float | None = None, **times: Any
    ) -> Measurement:
        workload = self._loaded.workload
        if error is not None and not math.isfinite(error):
            note, error = "an element is not finite, or was not written", None
        return Measurement(
            *(workload.case, workload.variant, workload.dtypes[0].name),
            shapes=self._loaded.texts(),
            implementation=name,
            status=status,
            compulsory_bytes=self._loaded.compulsory_bytes,
            floor_us=self._floor_us,
            note=note,
            error=error,
            **times,
        )
