"""Find the loaded kernels of a call again, without reading and specialising their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.contract import calls
from pluginkit.contract.launches import Launch, NumbaKernel
from pluginkit.contract.tensors import TensorDesc
from pluginkit.kernels.arguments import argument_types
from pluginkit.kernels.load import LoadedKernel, load_all
from pluginkit.kernels.specialise import specialise, type_bindings
from pluginkit.tracing.numbers import plain

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: What the kernels of a plugin's calls follow from besides their declarations and constants: the
#: plugin, the types and the device. For each, the kernels that its launches have named.
_known: dict[tuple[object, ...], dict[object, LoadedKernel]] = {}


def kernels_of(
    plugin: Plugin,
    inputs: calls.Inputs,
    outputs: Sequence[TensorDesc],
    launches: Sequence[Launch],
    device: int,
) -> list[LoadedKernel]:
    """Return the kernel of each launch on the current device, loaded.

    A kernel's source is read when its name expression, or its arguments' types, are new to this
    process.

    Errors:
        PK300 to PK303: as for ``specialise``.  PK320 to PK323: as for ``load_all``.
    """
    names = [desc and desc.dtype.name for desc in (*inputs, *outputs)]
    known = _known.setdefault((device, plugin, *names), {})
    keys = [_key(launch) for launch in launches]
    try:
        return [known[key] for key in keys]
    except KeyError:
        bindings = type_bindings(plugin, inputs, outputs)
        kernels = load_all([specialise(plugin, bindings, launch) for launch in launches], device)
        known.update(zip(keys, kernels, strict=True))
        return kernels


def _key(launch: Launch) -> tuple[object, ...]:
    """Return what tells the kernels of one plugin apart, for the same types."""
    kernel = launch.kernel
    if isinstance(kernel, NumbaKernel):
        return kernel, argument_types(kernel.name, launch.args)
    return kernel, *[(name, plain(value)) for name, value in launch.constants.items()]
