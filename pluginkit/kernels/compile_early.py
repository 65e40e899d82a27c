"""Compile the kernels of coming calls in the background, while a plan is read or a context made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.launches import CudaKernel, Launch
from pluginkit.contract.tensors import TensorDesc
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.enqueue_code import enqueue_code
from pluginkit.kernels.load import architecture_of
from pluginkit.kernels.machine_code import begin
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    Specialisation,
    specialise,
    type_bindings,
)

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: The inputs and outputs of a call.
Call = tuple[calls.Inputs, Sequence[TensorDesc]]


def compile_early(plugin: Plugin, coming: Iterable[Call]) -> None:
    """Begin to compile what calls will launch on this GPU, in another thread.

    Whoever launches waits for it. Nothing happens without a GPU, and what fails here fails again
    where it is needed.
    """
    launches: dict[object, tuple[Mapping[str, DType], Launch]] = {}
    if "launches" not in plugin.spec.overrides:
        return
    with suppress(Exception):  # of the author's methods
        for inputs, outputs in coming:
            bindings = type_bindings(plugin, inputs, outputs)
            for launch in _launches(plugin, inputs, outputs):
                if isinstance(launch.kernel, CudaKernel):
                    key = (launch.kernel, *bindings.items(), *launch.constants.items())
                    launches.setdefault(key, (bindings, launch))
    if launches:
        Thread(target=_begin, args=(plugin, launches.values())).start()


def kernels_of_call(
    plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
) -> Iterator[Specialisation]:
    """Yield the kernel of every launch of a call.

    Errors:
        PK116, PK300 to PK303.
    """
    bindings = type_bindings(plugin, inputs, outputs)
    for launch in _launches(plugin, inputs, outputs):
        yield specialise(plugin, bindings, launch)


def _launches(
    plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
) -> Iterator[Launch]:
    return (step for step in calls.steps(plugin, inputs, outputs) if isinstance(step, Launch))


def _begin(plugin: Plugin, launches: Iterable[tuple[Mapping[str, DType], Launch]]) -> None:
    with suppress(Exception):  # cuda.bindings has its own type for a missing libcuda
        status, *_ = need("cuda.bindings.driver").cuInit(0)
        if not status:
            enqueue_code()
            device = need("cupy").cuda.runtime.getDevice()
            wanted = (specialise(plugin, bindings, launch) for bindings, launch in launches)
            in_cuda = [one for one in wanted if isinstance(one, CudaSpecialisation)]
            begin(in_cuda, architecture_of(device))
