"""Load a workload onto the device, and compare outputs with the reference."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from pluginkit.bench.measuring_device import MeasuringDevice
from pluginkit.bench.workload import TimedCall, Workload
from pluginkit.checking.debug_taps import largest_error
from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType, float32
from pluginkit.contract.tensors import DeviceTensor, TensorDesc

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: All buffer sets together are this many times the L2 cache, so that no set stays in it.
_L2_TIMES, _MOST_SETS = 4, 64
#: Later sets are copies of the first: drawing inputs can take longer than timing them.
_MOST_DRAWN = 4
#: The bytes of outputs before each of two runs; an element that keeps both was not written.
_POISONS = (0xA5, 0x5A)


@dataclass(frozen=True)
class WorkloadBuffers:
    """One set of inputs and outputs, and the arrays that own their memory."""

    inputs: list[DeviceTensor]
    outputs: list[DeviceTensor]
    arrays: list[Any]

    @property
    def output_arrays(self) -> list[Any]:
        """The arrays that hold the outputs."""
        return self.arrays[len(self.inputs) :]


class LoadedWorkload:
    """One workload on the device: its buffer sets and the expected outputs.

    Attributes:
        workload: the workload.
        shapes: of the inputs.
        values: those of the shape inputs among them.
        compulsory_bytes: the bytes that must be moved at least.
        sets: enough sets of inputs and outputs that none stays in the L2 cache.
        expected_of: what computed the outputs that are expected: the reference, or a peer's name;
            None where the reference has not ended in time.
    """

    def __init__(
        self, workload: Workload, device: MeasuringDevice, reference_seconds: float | None = None
    ) -> None:
        self.workload = workload
        self._device = device
        self._plugin = workload.plugin
        first = self._inputs(0)
        self.shapes = [tuple(array.shape) for array in first]
        self.values = calls.shape_values_in(self._plugin, first)
        self._described = calls.describe_inputs(
            self._plugin, self.shapes, workload.dtypes, self.values
        )
        calls.check(self._plugin, self._described)
        self._descs = calls.describe_outputs(self._plugin, self._described)
        present = [desc for desc in self._described if desc and desc.slot.kind == "input"]
        self._tensors: list[TensorDesc] = [*present, *self._descs]
        nbytes = sum(_nbytes(desc) for desc in self._tensors)
        given = workload.compulsory_bytes
        self.compulsory_bytes = nbytes if given is None else given
        wanted = max(1, math.ceil(_L2_TIMES * device.l2_bytes / max(nbytes, 1)))
        count = min(wanted, workload.most_sets or _MOST_SETS)
        self.sets = [self._uploaded(inputs) for inputs in self._input_sets(first, count)]
        del first
        self._expected: list[Array] = []
        self.expected_of: str | None = None
        with suppress(_TooLongError), _at_most(reference_seconds):
            self.expect_reference()

    def expect_reference(self) -> None:
        """Compare with the plugin's reference."""
        self._expected, self.expected_of = self._reference(), "reference"

    def expect(self, call: TimedCall, name: str) -> None:
        """Compare with what a call of a peer computes from the first buffer set."""
        if self._plugin.spec.sizes:
            self._expected = self._sized(call)
        else:
            pairs = zip(self._written(call), self._descs, strict=False)
            self._expected = [self._sampled(array, desc) for array, desc in pairs]
        self.expected_of = name

    def _input_sets(self, first: list[Any], count: int) -> Iterator[list[Any]]:
        drawn = [first, *map(self._inputs, range(1, min(count, _MOST_DRAWN)))]
        yield from drawn
        for number in range(len(drawn), count):
            yield [array.copy() for array in drawn[number % _MOST_DRAWN]]

    def _inputs(self, seed: int) -> list[Any]:
        xp = self._device.xp
        made = self.workload.arrays(xp, seed)
        return [
            cast(xp, array, dtype) for array, dtype in zip(made, self.workload.dtypes, strict=True)
        ]

    def _uploaded(self, inputs: list[Any]) -> WorkloadBuffers:
        xp, device = self._device.xp, self._device
        outputs = [xp.empty(max(_nbytes(desc), 1), xp.uint8) for desc in self._descs]
        arrays = [*calls.on_device(self._plugin, inputs), *outputs]
        tensors = [
            DeviceTensor(desc.name, device.pointer(array), _shape(desc), desc.dtype, device.stream)
            for desc, array in zip(self._tensors, arrays, strict=True)
        ]
        seen = len(arrays) - len(outputs)
        return WorkloadBuffers(tensors[:seen], tensors[seen:], arrays)

    def _reference(self) -> list[Array]:
        import numpy as np

        sampled = iter(
            self._sampled(array, desc)
            for array, desc in zip(self.sets[0].arrays, self._tensors, strict=True)
        )
        arrays = [
            np.array(desc.values, desc.dtype.numpy) if desc.slot.kind == "host" else next(sampled)
            for desc in self._described
            if desc is not None
        ]
        return list(calls.run_reference(self._plugin, arrays))

    def _sampled(self, array: Any, desc: TensorDesc) -> Array:
        """Return the sample of an array of words, on the host and in its real type."""
        words = array.view(_word(self._device.xp, desc.dtype)).reshape(_shape(desc))
        cut = self.workload.sample
        slices = cut.get(desc.name, ()) if isinstance(cut, Mapping) else cut
        sample = self._device.xp.ascontiguousarray(words[slices])
        self._device.synchronize()
        host: Array = sample.get() if hasattr(sample, "get") else sample
        return host.view(desc.dtype.numpy)

    def texts(self) -> list[str]:
        """Return the type and shape of each buffer, as ``"float32[4, 8]"``."""
        return [f"{desc.dtype.name}{list(_shape(desc))}" for desc in self._tensors]

    def error(self, call: TimedCall) -> float:
        """Return the largest error of the first buffer set, NaN if an element was not written."""
        if self._plugin.spec.sizes:
            pairs = list(zip(self._sized(call), self._expected, strict=False))
            if any(got.shape != expected.shape for got, expected in pairs):
                return math.nan
            return max(largest_error(got, expected) for got, expected in pairs)
        kept = [self._written(call, poison) for poison in _POISONS]
        xp = self._device.xp
        for before, after, desc in zip(*kept, self._descs, strict=False):
            word = _word(xp, desc.dtype)
            patterns = [int.from_bytes(bytes([p] * desc.dtype.itemsize)) for p in _POISONS]
            untouched = before.view(word) == xp.asarray(patterns[0]).astype(word)
            untouched &= after.view(word) == xp.asarray(patterns[1]).astype(word)
            if bool(untouched.any()):
                return math.nan
        outputs = zip(kept[1], self._descs, self._expected, strict=False)
        return max(largest_error(self._sampled(array, d), e) for array, d, e in outputs)

    def _written(self, call: TimedCall, poison: int = _POISONS[0]) -> list[Any]:
        """Return copies of the outputs that a call writes, or returns, over so many poisons."""
        targets = self.sets[0].output_arrays
        for target in targets:
            target.fill(poison)
        self._device.synchronize()
        for target, array in zip(targets, returned := _listed(call()), strict=False):
            self._device.copy(target, array)
        self._device.synchronize()
        return [target.copy() for target in targets[: len(returned) or None]]

    def _sized(self, call: TimedCall) -> list[Array]:
        """Return outputs whose shape depends on data, on the host."""
        outputs = self.sets[0].output_arrays
        for output in outputs:
            output.fill(_POISONS[0])
        self._device.synchronize()
        returned = _listed(call())
        self._device.synchronize()
        if returned:
            return [self._fetched(*each) for each in zip(returned, self._descs, strict=False)]
        written = [output.tobytes() for output in outputs]
        return list(calls.arrays_from_buffers(self._plugin, self._described, written))

    def _fetched(self, array: Any, desc: TensorDesc) -> Array:
        import numpy as np

        xp, shape = self._device.xp, tuple(array.shape)
        buffer = xp.empty(prod(shape) * desc.dtype.itemsize, xp.uint8)
        self._device.copy(buffer, array)
        self._device.synchronize()
        fetched: Array = np.frombuffer(buffer.tobytes(), desc.dtype.numpy).reshape(shape)
        return fetched

    def tolerance(self) -> float:
        """Return the largest error that is accepted."""
        return max(self._plugin.tolerance.get(desc.dtype, 0.0) for desc in self._descs)


class _TooLongError(Exception):
    """A reference has not ended in time."""


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """Raise _TooLongError in the body, which runs in the main thread, after so many seconds."""
    if seconds is None:
        yield
        return

    def stop(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def cast(xp: Any, array: Any, dtype: DType) -> Any:
    """Return an array in ``dtype``; bfloat16, which cupy lacks, as rounded uint16 words."""
    if dtype.name != "bfloat16":
        return xp.ascontiguousarray(array.astype(dtype.numpy, copy=False))
    bits = xp.ascontiguousarray(array.astype(float32.numpy, copy=False)).view(xp.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(xp.uint16)


def _listed(returned: Any) -> Sequence[Any]:
    """Return the arrays that a call returned: none, one, or a tuple of the first outputs."""
    if returned is None:
        return ()
    return returned if isinstance(returned, tuple) else (returned,)


def _word(xp: Any, dtype: DType) -> Any:
    return getattr(xp, f"uint{8 * dtype.itemsize}")


def _shape(desc: TensorDesc) -> tuple[int, ...]:
    return tuple(int(dim) for dim in desc.shape)


def _nbytes(desc: TensorDesc) -> int:
    return prod(_shape(desc)) * desc.dtype.itemsize
