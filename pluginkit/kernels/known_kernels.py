"""Find the loaded kernels of a call again, without reading and specialising their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pluginkit.contract.dtypes import DType
from pluginkit.contract.launches import Launch, NumbaKernel
from pluginkit.kernels.arguments import argument_types
from pluginkit.kernels.load import LoadedKernel, load_all
from pluginkit.kernels.specialise import specialise

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

_known: dict[object, LoadedKernel] = {}


def kernels_of(
    plugin: Plugin, bindings: Mapping[str, DType], launches: Sequence[Launch], device: int
) -> list[LoadedKernel]:
    """Return the kernel of each launch on the current device, loaded.

    A kernel's source is read when its name expression, or its arguments' types, are new to this
    process.

    Errors:
        PK300 to PK303: as for ``specialise``.  PK320 to PK323: as for ``load_all``.
    """
    keys = [_key(plugin, bindings, launch, device) for launch in launches]
    try:
        return [_known[key] for key in keys]
    except KeyError:
        kernels = load_all([specialise(plugin, bindings, launch) for launch in launches], device)
        _known.update(zip(keys, kernels, strict=True))
        return kernels


def _key(
    plugin: Plugin, bindings: Mapping[str, DType], launch: Launch, device: int
) -> tuple[object, ...]:
    """Return all that the kernel of a launch follows from."""
    kernel = launch.kernel
    if isinstance(kernel, NumbaKernel):
        return device, kernel, argument_types(kernel.name, launch.args)
    filled = []
    for name in kernel.placeholders:
        bound = bindings.get(name)
        filled.append(getattr(plugin, name, None) if bound is None else bound)
    return device, kernel, *filled, *launch.constants.items()
