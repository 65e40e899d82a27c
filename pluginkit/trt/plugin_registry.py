"""Register plugins with TensorRT."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

from pluginkit.contract.attributes import shown
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PluginKey, PluginSpec
from pluginkit.errors import RegistrationError, UsageError
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.plugin_v2 import creator_v2
from pluginkit.trt.plugin_v3 import creator_v3

Interface = Literal["auto", "v2", "v3"]


@dataclass(frozen=True)
class _Registered:
    plugin_class: type[Plugin]
    interface: str
    creator: Any  # kept here, for TensorRT holds only a pointer


_registered: dict[tuple[str, tuple[str, str, str]], _Registered] = {}
_lock = threading.Lock()


def interface_of(spec: PluginSpec, flavour: Flavour, interface: Interface = "auto") -> str:
    """Return the interface that ``register`` uses: ``"v2"`` or ``"v3"``.

    ``"auto"`` is IPluginV2DynamicExt if the flavour's parser takes it, or else IPluginV3.

    Errors:
        PK601: no such interface.  PK214: the plugin needs IPluginV3.
    """
    if interface == "v2" and spec.needs_v3:
        raise UsageError(
            "PK214",
            f"{spec.name} cannot be an IPluginV2DynamicExt: {spec.needs_v3}; expected 'v3'.",
            fix="leave the interface to pluginkit, or ask for 'v3'.",
        )
    if interface == "auto":
        if spec.needs_v3:
            return "v3"
        has_v2 = hasattr(flavour.module, "IPluginV2DynamicExt") and flavour.parser_takes_v2
        return "v2" if has_v2 else "v3"
    if interface not in ("v2", "v3"):
        raise UsageError("PK601", f"interface is {interface!r}; expected 'auto', 'v2' or 'v3'.")
    return interface


def register(
    *plugin_classes: type[Plugin],
    interface: Interface = "auto",
    flavour: str | Flavour | None = None,
) -> None:
    """Register plugins, so that TensorRT's ONNX parser and runtime find them.

    Registering a class again does nothing; with another interface it replaces the first.

    Args:
        plugin_classes: the plugins.
        interface: ``"v2"`` for IPluginV2DynamicExt, ``"v3"`` for IPluginV3, ``"auto"`` for what
            fits the flavour.
        flavour: the TensorRT; by default the installed one.

    Errors:
        PK202: the plugin's name is that of an ONNX operator, which TensorRT would prefer.
        PK208: the registry holds another plugin under this name, version and namespace.
        PK209: the registry refused the plugin.  PK603: an argument is no plugin class.
    """
    for plugin_class in plugin_classes:
        _check_is_class(plugin_class)
    loaded = flavour if isinstance(flavour, Flavour) else load_flavour(flavour)
    for plugin_class in plugin_classes:
        with _lock:
            _register(plugin_class, interface_of(plugin_class.spec, loaded, interface), loaded)


def is_registered(registry: Any, key: PluginKey) -> bool:
    """Whether a registry has a creator; unlike ``get_creator`` this logs no error if it has not."""
    return any(
        (each.name, each.plugin_version, each.plugin_namespace) == key
        for each in registry.all_creators_recursive
    )


def _check_is_class(given: object) -> None:
    """Refuse anything but a concrete plugin class.

    Errors:
        PK603: it is something else.
    """
    if isinstance(given, type) and issubclass(given, Plugin) and hasattr(given, "spec"):
        return
    fix = "pass the class: pluginkit.register(MyPlugin)."
    if isinstance(given, Plugin):
        fix = f"pass the class, without calling it: pluginkit.register({type(given).__name__})."
    elif isinstance(given, (list, tuple, dict)):
        fix = "pass the classes one by one: pluginkit.register(*classes)."
    raise UsageError("PK603", f"register got {shown(given)}; expected plugin classes.", fix=fix)


def _register(plugin_class: type[Plugin], interface: str, flavour: Flavour) -> None:
    spec = plugin_class.spec
    known = _registered.get((flavour.name, spec.key))
    registry = flavour.module.get_plugin_registry()
    if known is not None:
        if known.plugin_class is plugin_class and known.interface == interface:
            return
        if known.plugin_class is not plugin_class and not _is_reloaded(
            known.plugin_class, plugin_class
        ):
            raise _collision(
                spec, f"{known.plugin_class.__module__}.{known.plugin_class.__qualname__}"
            )
        registry.deregister_creator(known.creator)
        del _registered[flavour.name, spec.key]
    _refuse_onnx_name(spec)
    if is_registered(registry, spec.key):
        raise _collision(spec, "a plugin that pluginkit did not register")
    creator = (creator_v2 if interface == "v2" else creator_v3)(plugin_class, flavour)
    accepted = registry.register_creator(creator, spec.plugin_namespace)
    # The registry also answers True for a namespace under which it then finds nothing.
    if not accepted or registry.get_creator(*spec.key) is None:
        raise RegistrationError(
            "PK209",
            f"{spec.name}: {flavour.name}'s registry refused {_key(spec)}.",
            fix="check that plugin_name, plugin_version and plugin_namespace are set and unique.",
        )
    _registered[flavour.name, spec.key] = _Registered(plugin_class, interface, creator)


def unregister(*plugin_classes: type[Plugin], flavour: Flavour) -> None:
    """Take back what :func:`register` did, so that a library can bring the plugins."""
    registry = flavour.module.get_plugin_registry()
    with _lock:
        for plugin_class in plugin_classes:
            known = _registered.pop((flavour.name, plugin_class.spec.key), None)
            if known is not None:
                registry.deregister_creator(known.creator)


def _is_reloaded(old: type[Plugin], new: type[Plugin]) -> bool:
    """Whether ``new`` is ``old`` from a module that was executed again, as in a notebook."""
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def _key(spec: PluginSpec) -> str:
    name, version, namespace = spec.key
    return f"'{name}', version '{version}', namespace '{namespace}'"


def _collision(spec: PluginSpec, other: str) -> RegistrationError:
    return RegistrationError(
        "PK208",
        f"{spec.name}: the registry already holds {_key(spec)}: {other}.",
        fix="give one of them another plugin_name or plugin_namespace.",
    )


def _refuse_onnx_name(spec: PluginSpec) -> None:
    import onnx.defs

    if onnx.defs.has(spec.plugin_name):
        raise RegistrationError(
            "PK202",
            f"{spec.name}: plugin_name '{spec.plugin_name}' is an ONNX operator; expected another.",
            cause="TensorRT's ONNX parser prefers its own operator to a plugin of that name.",
            fix=f'set plugin_name = "{spec.plugin_name}_PK".',
        )
