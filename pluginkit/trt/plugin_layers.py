"""Add plugins to networks that are built by API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import MissingDependencyError, RegistrationError, UsageError
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.parsed_layers import NotedLayer, ParsedLayers, layer_inputs
from pluginkit.trt.plugin_registry import Interface, interface_of, register
from pluginkit.trt.plugin_v2 import plugin_v2
from pluginkit.trt.plugin_v3 import plugin_v3


class NetworkDescription:
    """What :func:`add_to_network` adds while a function describes a network.

    Args:
        interface: the plugins' interface, unless a call names another.
        parsed: the layers that the ONNX parser has made, None where the flavour needs none or
            the network is described for the first time.

    Attributes:
        nodes: the name and the plugin of each layer.
        noted: the layers that only the parser can make, which the network still lacks.
    """

    def __init__(self, interface: Interface, parsed: ParsedLayers | None = None) -> None:
        self.interface = interface
        self.parsed = parsed
        self.nodes: list[tuple[str, Plugin]] = []
        self.noted: list[NotedLayer] = []


_description: ContextVar[NetworkDescription | None] = ContextVar("description", default=None)


@contextmanager
def describing(description: NetworkDescription) -> Iterator[None]:
    """Let ``description`` know of the plugins that the body adds to a network."""
    token = _description.set(description)
    try:
        yield
    finally:
        _description.reset(token)


def add_to_network(
    network: Any,
    plugin: Plugin,
    inputs: Sequence[Any],
    *,
    name: str | None = None,
    interface: Interface = "auto",
) -> Any:
    """Add a plugin layer to a network that is built by API.

    The bindings of TensorRT-RTX have no such call; there it works in a script that ``pluginkit
    network`` runs.

    Args:
        network: TensorRT's INetworkDefinition.
        plugin: the plugin with its attribute values.
        inputs: an ITensor for each input that the plugin has; shape inputs are shape tensors.
        name: the layer's name.
        interface: as for :func:`pluginkit.register`.

    Returns:
        The layer; its outputs are ``layer.get_output(i)``.

    Errors:
        PK111: the number of inputs is wrong.  PK210: the flavour's bindings offer no such call.
        PK209: TensorRT refused the layer.  PK204: a callback failed.  PK529: a script describes
        another network the second time.
    """
    flavour, description = _flavour_of(network), _description.get()
    expected = sum(plugin.present)
    if len(inputs) != expected:
        raise UsageError(
            "PK111", f"{type(plugin).__name__}: got {len(inputs)} inputs; expected {expected}."
        )
    if description is not None:
        interface = description.interface if interface == "auto" else interface
        name = name or f"{plugin.spec.plugin_name} {len(description.nodes)}"
    chosen = interface_of(plugin.spec, flavour, interface)
    method = getattr(network, f"add_plugin_{chosen}", None)
    if method is None and (description is None or chosen == "v2"):
        raise MissingDependencyError(
            "PK210",
            f"{flavour.name} {flavour.version} cannot add {chosen} plugins to a network by API.",
            fix="leave the interface to pluginkit."
            if description is not None
            else "describe the network in a script for pluginkit network, which has a way around; "
            "or write the layer as an ONNX node (pluginkit.onnx.plugin_node) and parse it.",
        )
    register(type(plugin), interface=interface, flavour=flavour)
    core = AdapterCore(plugin, flavour, name)
    with callback_errors():
        if method is not None:
            layer = _added(method, core, inputs, chosen)
        elif description is not None and description.parsed is not None:
            layer = description.parsed.take(plugin, inputs, name or "")
        elif description is not None:
            layer = NotedLayer(core, network, inputs)
            description.noted.append(layer)
    if layer is None:
        raise RegistrationError("PK209", f"{type(plugin).__name__}: TensorRT refused the layer.")
    if name is not None:
        layer.name = name
    if description is not None:
        description.nodes.append((name or "", plugin))
    return layer


def _added(method: Any, core: AdapterCore, inputs: Sequence[Any], interface: str) -> Any:
    if interface == "v2":
        return method(list(inputs), plugin_v2(core))
    device, shaping = layer_inputs(core.plugin, inputs)
    return method(device, shaping, plugin_v3(core))


def _flavour_of(network: Any) -> Flavour:
    package = type(network).__module__.partition(".")[0].removesuffix("_bindings")
    return load_flavour(package)
