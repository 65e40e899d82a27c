"""Make calls of the Python class, and describe the results as the recording driver does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dims import DimExpr
from pluginkit.contract.launches import Copy, Fill, Launch, Step
from pluginkit.contract.tensors import Slot, TensorDesc
from pluginkit.errors import ExportError, PluginkitError
from pluginkit.export.prove.call import STREAM, CallRecord, VariantCall, pointers
from pluginkit.kernels.arguments import PackedArgument
from pluginkit.kernels.enqueue_steps import enqueue_steps, nbytes_of, three
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    Specialisation,
    specialise,
    type_bindings,
)


def inputs_of(call: VariantCall) -> calls.Inputs:
    """Return the descriptions of a call's inputs."""
    plugin = call.variant.plugin
    shapes, values = [], {}
    for port, dims in zip(calls.present_ports(plugin), call.dims, strict=True):
        shapes.append(dims if port.is_on_device else (port.length,))
        if port.is_shape_input:
            values[port.name] = dims
    return calls.describe_inputs(plugin, shapes, call.variant.dtypes, values)


def trt_output_shapes(call: VariantCall) -> list[list[int]]:
    """Return the output shapes as TensorRT states them; -1 for dimensions that kernels compute."""
    shapes = calls.output_shapes(call.variant.plugin, inputs_of(call))
    return [[-1 if isinstance(dim, DimExpr) else dim for dim in shape] for shape in shapes]


def python_answer(call: VariantCall, symbols: Mapping[Specialisation, str]) -> CallRecord:
    """Make a call, and return its result.

    Args:
        call: the call.
        symbols: the name of each kernel in its module.

    Errors:
        PK806: a kernel is not in the library.  PK817: its source was changed meanwhile.
    """
    plugin = call.variant.plugin
    try:
        inputs = inputs_of(call)
        calls.check(plugin, inputs)
        outputs = calls.describe_outputs(plugin, inputs)
        nbytes = 0
        if "workspace_bytes" in plugin.spec.overrides:
            nbytes = calls.workspace_bytes(plugin, inputs)
        plan = enqueue_steps(plugin, inputs, outputs)
    except PluginkitError as error:
        return CallRecord(refusal=str(error))
    except (ValueError, ZeroDivisionError) as error:
        return CallRecord(refusal=f"{type(error).__name__}: {error}")
    bindings = type_bindings(plugin, inputs, outputs)
    places = _Pointers(*plan.pointers)
    listed = iter(plan.parameters)
    steps = []
    for step in plan.steps:
        if isinstance(step, Launch):
            kernel = specialise(plugin, bindings, step)
            if kernel not in symbols:
                raise _is_new(kernel, [one for one in symbols if str(one) == str(kernel)])
            steps.append(_launch(step, symbols[kernel], next(listed), places))
        else:
            steps.append(_memory_step(step, places))
    shapes = tuple((list(desc.shape), desc.dtype.name) for desc in outputs)
    return CallRecord(shapes, nbytes, tuple(steps))


def _is_new(kernel: Specialisation, alike: Sequence[Specialisation]) -> ExportError:
    """Return the error of a kernel that the library was not compiled with."""
    if not alike:
        return ExportError(
            "PK806",
            f"the Python class launches {kernel}, which the exported code does not have.",
            fix="report it with the plugin.",
        )
    return ExportError(
        "PK817",
        f"the source of {kernel} was changed during the export; expected the same from its "
        "beginning to its end.",
        where=kernel.file if isinstance(kernel, CudaSpecialisation) else str(kernel.path),
        fix="export it again.",
    )


class _Pointers:
    def __init__(self, inputs: int, outputs: int) -> None:
        given_in, given_out, workspace = pointers(inputs, outputs)
        self._pointers = {"input": given_in, "output": given_out, "workspace": [workspace]}

    def of(self, slot: Slot) -> int:
        return self._pointers[slot.kind][slot.index] + slot.offset


def _launch(
    launch: Launch, symbol: str, parameters: Sequence[PackedArgument], places: _Pointers
) -> dict[str, Any]:
    arguments = [
        (places.of(part).to_bytes(8, "little") if isinstance(part, Slot) else part).hex()
        for part in parameters
    ]
    return {
        "call": "launch",
        "function": symbol,
        "grid": list(three(launch.grid)),
        "block": list(three(launch.block)),
        "shared": launch.shared_bytes,
        "stream": STREAM,
        "arguments": arguments,
    }


def _memory_step(step: Step, places: _Pointers) -> dict[str, Any]:
    if isinstance(step, Copy):
        source: TensorDesc = step.source
        return {
            "call": "copy",
            "target": places.of(step.target.slot),
            "source": places.of(source.slot),
            "bytes": nbytes_of(source),
            "stream": STREAM,
        }
    if not isinstance(step, Fill):
        raise TypeError(step)
    return {
        "call": "fill",
        "target": places.of(step.target.slot),
        "byte": step.byte,
        "bytes": nbytes_of(step.target),
        "stream": STREAM,
    }
