"""The PTX machine as the device of checks on machines without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import cache

from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.time_budget import Clock
from pluginkit.contract import calls
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.errors import PluginkitError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.kernels.ptx_code import compile_ahead
from pluginkit.kernels.specialise import Specialisation, specialise, type_bindings


@cache
def _compile_kernels_of(subject: Subject) -> None:
    """Compile the kernels of the calls, those of one source together; errors are raised later."""
    with suppress(PluginkitError):
        compile_ahead(wanted for call in subject.calls() for wanted in _launched(call))


def _launched(call: PluginCall) -> Iterator[Specialisation]:
    inputs = call.describe()
    outputs = calls.describe_outputs(call.plugin, inputs)
    bindings = type_bindings(call.plugin, inputs, outputs)
    for launch in enqueue_steps(call.plugin, inputs, outputs).launches:
        yield specialise(call.plugin, bindings, launch)


def machine_for(subject: Subject) -> MachineDevice:
    """Compile the plugin's kernels, and return the machine for them."""
    _compile_kernels_of(subject)
    return MachineDevice(has_time_limit=not subject.is_patient)


class MachineDevice(PtxDevice):
    """The machine, with a clock that stops its launches.

    Args:
        has_time_limit: whether the time of checks is limited.
        seed: as for PtxDevice.
    """

    stream = 0

    def __init__(self, *, has_time_limit: bool, seed: int | None = None) -> None:
        super().__init__(self._left, seed=seed)
        self._has_time_limit = has_time_limit
        self._clock: Clock | None = None

    def start_clock(self, seconds: float) -> Clock | None:
        """Stop launches that take longer than this from now on."""
        self._clock = Clock(seconds) if self._has_time_limit else None
        return self._clock

    def for_execution(self, seed: int | None = None) -> MachineDevice:
        """Return a device with the same clock and no buffers yet."""
        other = MachineDevice(has_time_limit=self._has_time_limit, seed=seed)
        other._clock = self._clock
        return other

    def executing(self) -> AbstractContextManager[None]:
        """Return a context in which enqueues work here."""
        return self.working()

    def _left(self) -> float | None:
        return None if self._clock is None else self._clock.left
