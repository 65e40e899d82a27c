"""Load a library of plugins into TensorRT's registry, in place of the Python classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import RegistrationError
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.plugin_registry import unregister


@contextmanager
def plugin_library(
    path: Path, plugin_classes: Sequence[type[Plugin]], flavour: Flavour
) -> Iterator[None]:
    """Have the library's plugins in the registry inside the block.

    Args:
        path: the library, made for ``loadLibrary``.
        plugin_classes: what it has; Python's own registrations of them are taken back.
        flavour: the TensorRT.

    Errors:
        PK209: TensorRT does not load it, or does not find a plugin in it.
    """
    unregister(*plugin_classes, flavour=flavour)
    registry = flavour.module.get_plugin_registry()
    handle = registry.load_library(str(path))
    try:
        missing = [
            cls.spec.name for cls in plugin_classes if registry.get_creator(*cls.spec.key) is None
        ]
        if handle is None or missing:
            raise RegistrationError(
                "PK209",
                f"{flavour.name} {flavour.version} did not load {path.name}; expected "
                f"{', '.join(missing) or 'its plugins'} in it.",
                cause="the registry takes no library whose plugins it has already, nor one that "
                "was made for another TensorRT.",
                fix="export it for this TensorRT, and register none of its plugins otherwise.",
            )
        yield
    finally:
        if handle is not None:
            registry.deregister_library(handle)
