"""Run an enqueue of a plugin on a GPU, in host memory or on the PTX machine."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pluginkit.checking.debug_taps import differing, largest_error
from pluginkit.checking.guarded_buffers import Device, GuardedDevice
from pluginkit.checking.machine_device import machine_for
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.requirements import missing_for
from pluginkit.checking.trt_double.adapters import installed_flavour
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.checking.trt_double.layer import ExecutionContext, Layer
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.device.memory import CupyMemory, HostMemory

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: The byte that fills outputs and workspace before an enqueue: a huge number in any type except
#: int8, so that sums, products and maxima with it are wrong.
POISON = 0x7B


def device_of(subject: Subject) -> Device:
    """Choose the device for this plugin: the host, a GPU or the PTX machine."""
    if subject.memory == "host":
        return GuardedDevice(HostMemory())
    if missing_for(("cuda",), subject) is None:
        return GuardedDevice(CupyMemory())
    return machine_for(subject)


class Execution:
    """The buffers of one call on one execution context.

    Args:
        call: the call.
        context: the context.
        device: where the buffers are.
        in_place: whether outputs that may alias an input do; by default as the adapter tells
            TensorRT.
    """

    def __init__(
        self,
        call: PluginCall,
        context: ExecutionContext,
        device: Device,
        *,
        in_place: bool | None = None,
    ) -> None:
        self.call = call
        self.context = context
        self.device = device = device.for_execution()
        taken_over = calls.aliased_inputs(call.plugin) if in_place else {}
        if in_place is None:
            taken_over = context.aliased()
        self.aliased = set(taken_over.values())
        ports = calls.device_ports(call.plugin)
        self.inputs = [
            device.buffer(f"input '{port.name}'", array.nbytes, is_input=index not in self.aliased)
            for index, (port, array) in enumerate(zip(ports, call.device_arrays, strict=True))
        ]
        self.outputs = [
            self.inputs[taken_over[index]]
            if index in taken_over
            else device.buffer(f"output '{desc.name}'", operator.index(desc.nbytes))
            for index, desc in enumerate(calls.describe_outputs(call.plugin, call.describe()))
        ]
        self.workspace = device.buffer("the workspace", context.layer.workspace_bytes)
        self.fill(POISON)

    def fill(self, poison: int, call: PluginCall | None = None) -> None:
        """Poison outputs and workspace, and write the inputs, or those of a similar call."""
        for buffer in (*self.outputs, self.workspace):
            if buffer not in self.inputs:
                buffer.fill(poison)
        self.write_inputs(call or self.call)

    def write_inputs(self, call: PluginCall) -> None:
        """Write the inputs of a call with the same shapes."""
        for buffer, array in zip(self.inputs, call.device_arrays, strict=True):
            buffer.write(array.tobytes())

    def enqueue(self) -> None:
        """Enqueue once."""
        with self.device.executing():
            self.context.enqueue_pointers(
                self.call.shapes,
                [buffer.pointer for buffer in self.inputs],
                [buffer.pointer for buffer in self.outputs],
                self.workspace.pointer,
                self.device.stream,
                self.call.values,
            )

    def results(self) -> list[Array]:
        """Return the outputs."""
        written = [buffer.read() for buffer in self.outputs]
        return calls.arrays_from_buffers(self.call.plugin, self.call.describe(), written)

    def run(self) -> list[Array]:
        """Enqueue once and return the outputs."""
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


def expect(call: PluginCall, results: Sequence[Array], label: str = "") -> None:
    """Compare outputs with the reference's.

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
            cause=f"{int(wrong.sum())} of {wrong.size} elements differ"
            + _how_far(call, got[wrong], expected[wrong])
            + (" This one was never written." if untouched else ""),
            case=call.case,
        )


def _how_far(call: PluginCall, got: Array, expected: Array) -> str:
    """Return how far floating-point elements are apart, and how far the plugin lets them be."""
    import numpy as np

    dtype = dtype_from_numpy(expected.dtype)
    pair = got.astype(np.float64), expected.astype(np.float64)
    if not dtype.is_floating or not np.isfinite(pair).all():
        return "."
    return (
        f", by up to {largest_error(*pair):.1e} of max(1, expected); "
        f"tolerance allows {call.plugin.tolerance.get(dtype, 0.0):g} for {dtype}."
    )


def layer_for(call: PluginCall, larger: Sequence[PluginCall] = ()) -> Layer:
    """Build a layer whose profile covers all of these calls."""
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
def executions(
    *sequence: PluginCall, device: Device, in_place: bool | None = None
) -> Iterator[list[Execution]]:
    """Build one layer that fits all calls, and give each call a context.

    ``in_place`` is as for :class:`Execution`.

    Errors:
        Failure: building, enqueueing or the body raises; it says which call.
    """
    try:
        layer = layer_for(sequence[0], sequence[1:])
        with ExitStack() as stack:
            yield [
                Execution(call, stack.enter_context(layer.context()), device, in_place=in_place)
                for call in sequence
            ]
    except (Failure, NotRun):
        raise
    except Exception as error:  # the author's enqueue may raise anything
        raise outcome_of(error, sequence[0].label, sequence[0].case) from error
