"""Create a plugin's adapters through the real registry; copy and reload them as TensorRT does."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from pluginkit.checking.outcomes import Failure
from pluginkit.checking.trt_double.layer import LAYER
from pluginkit.contract.plugin import Plugin
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.fields import FieldBlock
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.plugin_registry import Interface, register


def interfaces_of(plugin_class: type[Plugin]) -> tuple[Interface, ...]:
    """Return the interfaces that can express the plugin."""
    return ("v3",) if plugin_class.spec.needs_v3 else ("v2", "v3")


@functools.cache
def installed_flavour() -> Flavour:
    """Return the TensorRT that the checks use; loading it takes a tenth of a second."""
    return load_flavour()


def creator_of(plugin_class: type[Plugin], interface: Interface) -> Any:
    """Register the plugin with one interface and return its creator."""
    flavour = installed_flavour()
    register(plugin_class, interface=interface, flavour=flavour)
    return flavour.module.get_plugin_registry().get_creator(*plugin_class.spec.key)


def adapter_of(plugin: Plugin, interface: Interface, creator: Any) -> Any:
    """Return the adapter that the creator makes from the plugin's fields."""
    trt = installed_flavour().module
    fields = FieldBlock(trt, plugin.to_wire())
    phase = () if interface == "v2" else (trt.TensorRTPhase.BUILD,)
    with callback_errors():
        return creator.create_plugin(LAYER, fields.collection, *phase)


def copies_of(interface: str, adapter: Any) -> Iterator[tuple[str, Any]]:
    """Yield the results of ``clone`` and ``attach_to_context``, which must be new objects.

    Errors:
        Failure: a copy is None, not a plugin, or the adapter itself.
    """
    ways = {"clone()": adapter.clone}
    if interface == "v3":
        ways["attach_to_context()"] = lambda: adapter.attach_to_context(None)
    for how, make in ways.items():
        copy = make()
        if type(copy) is not type(adapter) or copy is adapter or copy.core is adapter.core:
            what = (
                "the same object" if copy is adapter else "the same state" if copy else repr(copy)
            )
            raise Failure(
                f"{interface}, {how}",
                what,
                "a new object with its own state",
                cause="TensorRT frees both objects, or calls None; the process dies.",
            )
        yield how, copy


def payload_of(interface: str, adapter: Any) -> bytes | list[tuple[str, str, bytes, int]]:
    """Return what a plan stores of the plugin: bytes, or fields by name, type, data and length.

    Errors:
        Failure: get_serialization_size differs from the number of bytes.
    """
    if interface == "v2":
        data = bytes(adapter.serialize())
        if adapter.get_serialization_size() != len(data):
            raise Failure(
                "v2, get_serialization_size()",
                adapter.get_serialization_size(),
                len(data),
                cause="TensorRT would read past the bytes, or cut them.",
            )
        return data
    collection = adapter.get_fields_to_serialize()
    if type(collection).__name__ not in ("PluginFieldCollection", "PluginFieldCollection_"):
        raise Failure(
            "v3, get_fields_to_serialize()", type(collection).__name__, "PluginFieldCollection"
        )
    return [(f.name, f.type.name, bytes(f.data.tobytes()), f.size) for f in collection]


def adapter_of_payload(interface: str, creator: Any, payload: Any) -> Any:
    """Return the adapter that the runtime creates from what a plan stores."""
    import numpy as np

    trt = installed_flavour().module
    if interface == "v2":
        return creator.deserialize_plugin(LAYER, payload)
    kinds = {"CHAR": np.int8, "INT32": np.int32, "FLOAT32": np.float32}
    arrays = [(name, kind, np.frombuffer(data, kinds[kind])) for name, kind, data, _ in payload]
    fields = [trt.PluginField(n, a, getattr(trt.PluginFieldType, k)) for n, k, a in arrays]
    collection = trt.PluginFieldCollection(fields)
    return creator.create_plugin(LAYER, collection, trt.TensorRTPhase.RUNTIME)


def reloaded(interface: str, creator: Any, adapter: Any) -> Any:
    """Return the adapter after a round trip through a plan, in this process."""
    return adapter_of_payload(interface, creator, payload_of(interface, adapter))
