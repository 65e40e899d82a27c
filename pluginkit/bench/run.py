"""Runs a benchmark: for each workload pluginkit and its peers, checked and then timed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from pluginkit import calls
from pluginkit.bench.device import METHOD, Device
from pluginkit.bench.report import OWN, Report, Result, now
from pluginkit.bench.workload import Call, NotOffered, Peer, Workload
from pluginkit.dtypes import DType, float32
from pluginkit.tensors import DeviceTensor, TensorDesc
from pluginkit.testing.adapters import interfaces_of
from pluginkit.testing.driver import Profile, build_layer
from pluginkit.trt.flavour import Flavour, load_flavour

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

Progress = Callable[[str], None]

#: Buffer sets together exceed the L2 cache so many times, so that none is found there again.
_L2_TIMES, _MOST_SETS = 4, 64
#: What outputs hold before each of two runs: an element that keeps both was not written.
_POISONS = (0xA5, 0x5A)


def run_benchmark(
    name: str,
    workloads: Sequence[Workload],
    peers: Sequence[Peer],
    device: Device,
    *,
    flavour: Flavour | None = None,
    progress: Progress = lambda text: None,
) -> Report:
    """Measure a plugin and its peers.

    Args:
        name: of the benchmark, as a rule the plugin's.
        workloads: what to measure.
        peers: what to measure beside the plugin.
        device: the GPU.
        flavour: the TensorRT whose types the adapters get.
        progress: called with each workload's name.
    """
    flavour = flavour or load_flavour()
    launch_us, launched_by = device.driver_launch()
    environment = device.environment() | {"tensorrt": f"{flavour.name} {flavour.version}"}
    report = Report(
        name, now(), environment, device.copy_bandwidth(), launch_us, launched_by, METHOD
    )
    for workload in workloads:
        progress(f"{workload.case} {workload.variant} {workload.dtypes[0].name}")
        bench = _Bench(workload, device, flavour, report.copy_bandwidth)
        report.results.extend(bench.results(peers))
        device.free()
    return report


@dataclass(frozen=True)
class _Buffers:
    """One set of inputs and outputs, and the arrays that own their memory."""

    inputs: list[DeviceTensor]
    outputs: list[DeviceTensor]
    arrays: list[Any]

    @property
    def output_arrays(self) -> list[Any]:
        return self.arrays[len(self.inputs) :]


class _Bench:
    """One workload on the device: its buffer sets and what must come out."""

    def __init__(
        self, workload: Workload, device: Device, flavour: Flavour, bandwidth: float
    ) -> None:
        self._workload = workload
        self._device = device
        self._flavour = flavour
        self._plugin = workload.plugin
        first = self._inputs(0)
        self._shapes = [tuple(array.shape) for array in first]
        self._values = calls.shape_values_in(self._plugin, first)
        self._described = calls.describe_inputs(
            self._plugin, self._shapes, workload.dtypes, self._values
        )
        calls.check(self._plugin, self._described)
        self._descs = calls.describe_outputs(self._plugin, self._described)
        present = [desc for desc in self._described if desc and desc.slot.kind == "input"]
        self._tensors: list[TensorDesc] = [*present, *self._descs]
        nbytes = sum(_nbytes(desc) for desc in self._tensors)
        self._nbytes = nbytes if workload.compulsory_bytes is None else workload.compulsory_bytes
        self._floor_us = self._nbytes / bandwidth * 1e6
        count = min(max(1, math.ceil(_L2_TIMES * device.l2_bytes / max(nbytes, 1))), _MOST_SETS)
        self._sets = [
            self._buffers(first if seed == 0 else self._inputs(seed)) for seed in range(count)
        ]
        del first
        self._expected = self._reference()

    def _inputs(self, seed: int) -> list[Any]:
        xp = self._device.xp
        made = self._workload.arrays(xp, seed)
        return [
            cast(xp, array, dtype) for array, dtype in zip(made, self._workload.dtypes, strict=True)
        ]

    def _buffers(self, inputs: list[Any]) -> _Buffers:
        xp, device = self._device.xp, self._device
        outputs = [xp.empty(max(_nbytes(desc), 1), xp.uint8) for desc in self._descs]
        arrays = [*calls.on_device(self._plugin, inputs), *outputs]
        tensors = [
            DeviceTensor(desc.name, device.pointer(array), _shape(desc), desc.dtype, device.stream)
            for desc, array in zip(self._tensors, arrays, strict=True)
        ]
        seen = len(arrays) - len(outputs)
        return _Buffers(tensors[:seen], tensors[seen:], arrays)

    def _reference(self) -> list[Array]:
        import numpy as np

        sampled = iter(
            self._sampled(array, desc)
            for array, desc in zip(self._sets[0].arrays, self._tensors, strict=True)
        )
        arrays = [
            np.array(desc.values, desc.dtype.numpy) if desc.slot.kind == "host" else next(sampled)
            for desc in self._described
            if desc is not None
        ]
        return list(calls.run_reference(self._plugin, arrays))

    def _sampled(self, array: Any, desc: TensorDesc) -> Array:
        """The sample of an array of words, on the host and in its own type."""
        words = array.view(_word(self._device.xp, desc.dtype)).reshape(_shape(desc))
        sample = self._device.xp.ascontiguousarray(words[self._workload.sample])
        self._device.synchronize()
        host: Array = sample.get() if hasattr(sample, "get") else sample
        return host.view(desc.dtype.numpy)

    def results(self, peers: Sequence[Peer]) -> Iterator[Result]:
        """Pluginkit's result, then each peer's."""
        yield self._own()
        for peer in peers:
            yield self._peers(peer)

    def _own(self) -> Result:
        interfaces = interfaces_of(type(self._plugin))
        with ExitStack() as stack:
            bound = {
                each: list(map(stack.enter_context(self._through_adapter(each)), self._sets))
                for each in interfaces
            }
            error = max(self._error(listed[0]) for listed in bound.values())
            if not error <= self._tolerance():
                return self._result(OWN, "wrong", f"error {error:.3g}", error)
            host = {
                f"host_{each}_us": statistics.median(self._device.host_times(listed))
                for each, listed in bound.items()
            }
            return self._timed(OWN, error, bound["v3"], **host)

    @contextmanager
    def _through_adapter(self, interface: Any) -> Iterator[Callable[[_Buffers], Call]]:
        """Binds buffers to an enqueue through the whole adapter, as TensorRT makes it."""
        shapes = self._shapes
        profile = Profile(shapes, shapes, shapes, self._values)
        layer = build_layer(
            self._plugin,
            profile,
            self._workload.dtypes,
            interface=interface,
            flavour=self._flavour,
        )
        with layer.context() as context:
            inputs, outputs = context.descs(shapes)
            context.announce(inputs, outputs)
            scratch = self._device.xp.empty(max(layer.workspace_bytes, 1), self._device.xp.uint8)
            workspace, enqueue = self._device.pointer(scratch), context.adapter.enqueue
            stream = self._device.stream

            def bind(buffers: _Buffers) -> Call:
                sources = [tensor.pointer for tensor in buffers.inputs]
                targets = [tensor.pointer for tensor in buffers.outputs]
                return lambda: enqueue(inputs, outputs, sources, targets, workspace, stream)

            yield bind
            self._device.synchronize()

    def _peers(self, peer: Peer) -> Result:
        try:
            bound = [peer.bind(self._plugin, each.inputs, each.outputs) for each in self._sets]
            error = self._error(bound[0])
            if not error <= self._tolerance():
                return self._result(peer.name, "wrong", f"error {error:.3g}", error)
            return self._timed(peer.name, error, bound)
        except NotOffered as reason:
            return self._result(peer.name, "not offered", str(reason))
        except Exception as failure:  # a peer may fail in any way; that is its result
            text = f"{type(failure).__name__}: {failure}".split("\n")[0]
            return self._result(peer.name, "failed", text[:200])

    def _timed(self, name: str, error: float, bound: Sequence[Call], **host: Any) -> Result:
        times = sorted(self._device.device_times(bound))
        tenth = len(times) // 10
        return self._result(
            name,
            "ok",
            error=error,
            device_us=statistics.median(times),
            low_us=times[tenth],
            high_us=times[-1 - tenth],
            **host,
        )

    def _error(self, call: Call) -> float:
        """The largest error of the first buffer set, NaN where an element was not written."""
        xp, first = self._device.xp, self._sets[0]
        if self._plugin.spec.sizes:
            return self._error_of_sized(call)
        kept: list[list[Any]] = []
        for poison in _POISONS:
            for output in first.output_arrays:
                output.fill(poison)
            self._device.synchronize()
            written = first.output_arrays
            for target, array in zip(written, returned := _listed(call()), strict=False):
                self._device.copy(target, array)
            self._device.synchronize()
            kept.append([output.copy() for output in written[: len(returned) or None]])
        for before, after, desc in zip(*kept, self._descs, strict=False):
            word = _word(xp, desc.dtype)
            patterns = [int.from_bytes(bytes([p] * desc.dtype.itemsize)) for p in _POISONS]
            untouched = before.view(word) == xp.asarray(patterns[0]).astype(word)
            untouched &= after.view(word) == xp.asarray(patterns[1]).astype(word)
            if bool(untouched.any()):
                return math.nan
        outputs = zip(kept[1], self._descs, self._expected, strict=False)
        return max(_largest_error(self._sampled(array, d), e) for array, d, e in outputs)

    def _error_of_sized(self, call: Call) -> float:
        """Of outputs whose shape depends on data, which are compared whole; NaN for a wrong one."""
        outputs = self._sets[0].output_arrays
        for output in outputs:
            output.fill(_POISONS[0])
        self._device.synchronize()
        returned = _listed(call())
        self._device.synchronize()
        arrays = [
            self._fetched(array, desc) for array, desc in zip(returned, self._descs, strict=False)
        ]
        if not arrays:
            written = [output.tobytes() for output in outputs]
            arrays = calls.arrays_from_buffers(self._plugin, self._described, written)
        pairs = list(zip(arrays, self._expected, strict=False))
        if any(got.shape != expected.shape for got, expected in pairs):
            return math.nan
        return max(_largest_error(got, expected) for got, expected in pairs)

    def _fetched(self, array: Any, desc: TensorDesc) -> Array:
        import numpy as np

        xp, shape = self._device.xp, tuple(array.shape)
        buffer = xp.empty(prod(shape) * desc.dtype.itemsize, xp.uint8)
        self._device.copy(buffer, array)
        self._device.synchronize()
        fetched: Array = np.frombuffer(buffer.tobytes(), desc.dtype.numpy).reshape(shape)
        return fetched

    def _tolerance(self) -> float:
        return max(self._plugin.tolerance.get(desc.dtype, 0.0) for desc in self._descs)

    def _result(
        self, name: str, status: Any, note: str = "", error: float | None = None, **times: Any
    ) -> Result:
        workload = self._workload
        if error is not None and not math.isfinite(error):
            note, error = "an element is not finite, or was not written", None
        return Result(
            *(workload.case, workload.variant, workload.dtypes[0].name),
            shapes=[f"{desc.dtype.name}{list(_shape(desc))}" for desc in self._tensors],
            implementation=name,
            status=status,
            compulsory_bytes=self._nbytes,
            floor_us=self._floor_us,
            note=note,
            error=error,
            **times,
        )


def cast(xp: Any, array: Any, dtype: DType) -> Any:
    """An array in ``dtype``; bfloat16, which cupy lacks, as rounded uint16 words."""
    if dtype.name != "bfloat16":
        return xp.ascontiguousarray(array.astype(dtype.numpy, copy=False))
    bits = xp.ascontiguousarray(array.astype(float32.numpy, copy=False)).view(xp.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(xp.uint16)


def _listed(returned: Any) -> Sequence[Any]:
    """What a call returned: nothing, an array, or a tuple of the first outputs."""
    if returned is None:
        return ()
    return returned if isinstance(returned, tuple) else (returned,)


def _largest_error(got: Array, expected: Array) -> float:
    import numpy as np

    wide = np.asarray(expected, np.float64)
    difference = np.abs(np.asarray(got, np.float64) - wide) / np.maximum(1, np.abs(wide))
    return float(difference.max(initial=0))


def _word(xp: Any, dtype: DType) -> Any:
    return getattr(xp, f"uint{8 * dtype.itemsize}")


def _shape(desc: TensorDesc) -> tuple[int, ...]:
    return tuple(int(dim) for dim in desc.shape)


def _nbytes(desc: TensorDesc) -> int:
    return prod(_shape(desc)) * desc.dtype.itemsize
