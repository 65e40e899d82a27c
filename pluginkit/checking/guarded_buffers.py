"""Buffers between guards, on a GPU or in host memory, and one enqueue on them."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pluginkit.checking.check import Failure, NotRun, failure_of
from pluginkit.checking.debug_taps import differing
from pluginkit.checking.plugin_under_test import Call, Subject
from pluginkit.checking.trt_double.adapters import installed_flavour
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.checking.trt_double.layer import Context, Layer
from pluginkit.contract import calls

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

#: Bytes before and after each buffer; a multiple of every alignment that CUDA promises.
GUARD = 512
_GUARD_BYTE = 0x5C
POISON = 0xA5


class Device(Protocol):
    """Where buffers are, and the stream that works on them."""

    stream: int

    def allocate(self, nbytes: int) -> Any:
        """A buffer."""

    def pointer(self, buffer: Any) -> int:
        """Its address."""

    def write(self, buffer: Any, data: bytes) -> None:
        """Fill it, done on return."""

    def read(self, buffer: Any) -> bytes:
        """Its content, once the stream has finished."""


class HostDevice:
    """Host memory, for plugins whose ``enqueue`` works there."""

    stream = 0

    def allocate(self, nbytes: int) -> Any:
        import numpy as np

        return np.empty(nbytes, np.uint8)

    def pointer(self, buffer: Any) -> int:
        return int(buffer.ctypes.data)

    def write(self, buffer: Any, data: bytes) -> None:
        import numpy as np

        buffer[:] = np.frombuffer(data, np.uint8)

    def read(self, buffer: Any) -> bytes:
        return bytes(buffer.tobytes())


class CudaDevice:
    """The current GPU, with a non-blocking stream of its own."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.queue = cupy.cuda.Stream(non_blocking=True)
        self.stream = int(self.queue.ptr)

    def allocate(self, nbytes: int) -> Any:
        return self.cupy.empty(nbytes, self.cupy.uint8)

    def pointer(self, buffer: Any) -> int:
        return int(buffer.data.ptr)

    def write(self, buffer: Any, data: bytes) -> None:
        import numpy as np

        buffer.set(np.frombuffer(data, np.uint8))
        self.cupy.cuda.Device().synchronize()

    def read(self, buffer: Any) -> bytes:
        self.queue.synchronize()
        return bytes(buffer.get().tobytes())


def device_of(subject: Subject) -> HostDevice | CudaDevice:
    """A device for this plugin."""
    return HostDevice() if subject.memory == "host" else CudaDevice()


class Guarded:
    """A buffer with guards before and after it."""

    def __init__(self, device: Device, name: str, nbytes: int) -> None:
        self._device = device
        self.name = name
        self.nbytes = nbytes
        self.buffer = device.allocate(nbytes + 2 * GUARD)
        self.pointer = device.pointer(self.buffer) + GUARD

    def write(self, data: bytes) -> None:
        """Fill the buffer, and renew the guards."""
        guard = bytes([_GUARD_BYTE]) * GUARD
        self._device.write(self.buffer, guard + data + guard)

    def fill(self, byte: int) -> None:
        """Fill the buffer with one byte."""
        self.write(bytes([byte]) * self.nbytes)

    def read(self) -> bytes:
        """The content, guards left out."""
        return self._device.read(self.buffer)[GUARD : GUARD + self.nbytes]

    def damage(self) -> str | None:
        """Where something wrote outside, in words, or None."""
        data = self._device.read(self.buffer)
        for side, guard in (("before", data[:GUARD]), ("past", data[GUARD + self.nbytes :])):
            places = [index for index, byte in enumerate(guard) if byte != _GUARD_BYTE]
            if places:
                distance = GUARD - places[-1] if side == "before" else places[0] + 1
                what = f"byte {distance} {side} the end" if side == "past" else None
                return f"wrote {what or f'byte {distance} before the start'} of {self.name}"
        return None


class Execution:
    """The buffers of one call on one execution context."""

    def __init__(self, call: Call, context: Context, device: Device) -> None:
        self.call = call
        self.context = context
        self.device = device
        inputs = call.describe()
        self.inputs = [
            Guarded(device, f"input '{port.name}'", array.nbytes)
            for port, array in zip(calls.device_ports(call.plugin), call.device_arrays, strict=True)
        ]
        self.outputs = [
            Guarded(device, f"output '{desc.name}'", operator.index(desc.nbytes))
            for desc in calls.describe_outputs(call.plugin, inputs)
        ]
        for output, source in context.aliased().items():
            self.outputs[output] = self.inputs[source]
        self.aliased = set(context.aliased().values())
        self.workspace = Guarded(device, "the workspace", context.layer.workspace_bytes)
        self.fill(POISON)

    def fill(self, poison: int) -> None:
        """Poison outputs and workspace, and put the inputs there."""
        for buffer in (*self.outputs, self.workspace):
            buffer.fill(poison)
        self.write_inputs(self.call)

    def write_inputs(self, call: Call) -> None:
        """Put the inputs of a call of the same shapes there."""
        for buffer, array in zip(self.inputs, call.device_arrays, strict=True):
            buffer.write(array.tobytes())

    def enqueue(self) -> None:
        """One enqueue."""
        self.context.enqueue_pointers(
            self.call.shapes,
            [buffer.pointer for buffer in self.inputs],
            [buffer.pointer for buffer in self.outputs],
            self.workspace.pointer,
            self.device.stream,
            self.call.values,
        )

    def results(self) -> list[Array]:
        """The outputs."""
        written = [buffer.read() for buffer in self.outputs]
        return calls.arrays_from_buffers(self.call.plugin, self.call.describe(), written)

    def run(self) -> list[Array]:
        """One enqueue, and the outputs."""
        self.enqueue()
        return self.results()

    def check(self, label: str = "") -> None:
        """Enqueue, and compare with the reference.

        Errors:
            Failure: an element differs.
        """
        if self.aliased:  # an earlier run wrote its outputs there
            self.write_inputs(self.call)
        expect(self.call, self.run(), label)


def expect(call: Call, results: Sequence[Array], label: str = "") -> None:
    """Compare outputs, or the first of them, with the reference's.

    Errors:
        Failure: the first element that differs by more than the plugin's tolerance.
    """
    import numpy as np

    where = f"{call.label}, {label}" if label else call.label
    ports = call.plugin.spec.outputs
    for port, got, expected in zip(ports, results, call.reference(), strict=False):
        if got.shape != expected.shape:
            raise Failure(
                f"{where}: the shape of {port.name}", got.shape, expected.shape, case=call.case
            )
        wrong = differing(call.plugin, got, expected)
        if not wrong.any():
            continue
        element = tuple(int(index) for index in np.argwhere(wrong)[0])
        untouched = got[element].tobytes() == bytes([POISON]) * got.itemsize
        raise Failure(
            f"{where}: {port.name}{list(element)}",
            got[element],
            expected[element],
            cause=f"{int(wrong.sum())} of {wrong.size} elements differ."
            + (" This one was never written." if untouched else ""),
            case=call.case,
        )


def layer_for(call: Call, larger: Sequence[Call] = ()) -> Layer:
    """A built layer whose profile reaches from the smallest to the largest of these calls."""
    every = [call, *larger]
    shapes = [
        [
            tuple(map(bound, zip(*dims, strict=True)))
            for dims in zip(*(c.shapes for c in every), strict=True)
        ]
        for bound in (min, max)
    ]
    profile = Profile(shapes[0], call.shapes, shapes[1], call.values)
    return build_layer(call.plugin, profile, call.dtypes, flavour=installed_flavour())


@contextmanager
def executions(*sequence: Call, device: Device) -> Iterator[list[Execution]]:
    """One layer that fits all calls, and for each a context of its own.

    Errors:
        Failure: building, enqueueing or the body raises; it says which call.
    """
    try:
        layer = layer_for(sequence[0], sequence[1:])
        with ExitStack() as stack:
            yield [
                Execution(call, stack.enter_context(layer.context()), device) for call in sequence
            ]
    except (Failure, NotRun):
        raise
    except Exception as error:  # the author's enqueue may raise anything
        raise failure_of(error, sequence[0].label, sequence[0].case) from error
