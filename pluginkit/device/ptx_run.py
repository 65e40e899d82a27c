"""Run an enqueue of a plugin on the PTX machine, from numpy arrays to numpy arrays."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.scratch import is_scratch
from pluginkit.device.ptx_device import PtxBuffer, PtxDevice
from pluginkit.errors import KernelError, TensorError
from pluginkit.ptx import Finding

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.contract.plugin import Plugin

    Array = npt.NDArray[Any]


@dataclass(frozen=True)
class KernelRun:
    """What the kernels of one enqueue computed, and what was wrong with them.

    Attributes:
        outputs: one array for each output; bytes that no kernel wrote are 0xA5.
        findings: in the order in which they were met.
    """

    outputs: list[Array]
    findings: list[Finding]


def run_on(
    device: PtxDevice, plugin: Plugin, arrays: Sequence[Array], *, in_place: bool = False
) -> KernelRun:
    """Run the steps of one enqueue on a device that has no buffers yet.

    Args:
        device: the device.
        plugin: the plugin.
        arrays: those of the inputs that the plugin has.
        in_place: whether outputs that may lie in an input's memory do.

    Errors:
        PK111, PK112: the arrays do not fit.  PK300 to PK306, PK310, PK320, PK321: as on a GPU.
        PK351, PK356, PK357: the machine cannot run it.  PK118: a kernel wrote a wrong size.
    """
    import numpy as np

    arrays = [np.ascontiguousarray(array).reshape(np.shape(array)) for array in arrays]
    inputs = calls.describe_arrays(plugin, arrays)
    calls.check(plugin, inputs)
    outputs = calls.describe_outputs(plugin, inputs)
    taken_over = calls.aliased_inputs(plugin) if in_place else {}
    given = [
        device.buffer(
            f"input '{port.name}'", array.nbytes, is_input=index not in taken_over.values()
        )
        for index, (port, array) in enumerate(
            zip(calls.device_ports(plugin), calls.on_device(plugin, arrays), strict=True)
        )
    ]
    for buffer, array in zip(given, calls.on_device(plugin, arrays), strict=True):
        buffer.write(array.tobytes())
    made = [
        given[taken_over[index]]
        if index in taken_over
        else device.buffer(f"output '{desc.name}'", operator.index(desc.nbytes))
        for index, desc in enumerate(outputs)
    ]
    workspace = device.buffer("the workspace", calls.workspace_bytes(plugin, inputs))
    device.prepare(plugin, inputs, outputs).enqueue(
        [buffer.pointer for buffer in given],
        [buffer.pointer for buffer in made],
        workspace.pointer,
        0,
    )
    results = _results(plugin, inputs, made, device.findings)
    unwritten = [
        finding
        for port, buffer, result in zip(plugin.spec.outputs, made, results, strict=True)
        if not is_scratch(port) and (finding := buffer.unwritten(result.nbytes)) is not None
    ]
    return KernelRun(results, [*device.findings, *unwritten])


def _results(
    plugin: Plugin, inputs: calls.Inputs, made: Sequence[PtxBuffer], findings: Sequence[Finding]
) -> list[Array]:
    """Return the outputs; a size that no kernel wrote counts as 0."""
    contents = [
        bytes(buffer.nbytes) if port.is_size and buffer.unwritten(buffer.nbytes) else buffer.read()
        for port, buffer in zip(plugin.spec.outputs, made, strict=True)
    ]
    try:
        return calls.arrays_from_buffers(plugin, inputs, contents)
    except TensorError as error:
        error.cause = error.cause or "\n".join(map(str, findings)) or None
        raise


def run_sound_kernels(plugin: Plugin, arrays: Sequence[Array]) -> list[Array]:
    """Run kernels and return their outputs, if nothing is wrong with the kernels.

    Errors:
        PK358: something is; and as for :func:`run_on`.
    """
    run = run_on(PtxDevice(), plugin, arrays)
    if run.findings:
        raise KernelError(
            "PK358",
            f"{type(plugin).__name__}: the PTX machine has {len(run.findings)} finding(s) about "
            "its kernels; expected none.",
            cause="\n".join(map(str, run.findings)),
            fix="correct the kernels; pluginkit check shows more.",
        )
    return run.outputs
