"""Put the plugin's name on the errors that its own methods raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import InputError


@contextmanager
def named_refusals(plugin: Plugin) -> Iterator[None]:
    """Name the plugin in every InputError that its author raises inside the block."""
    try:
        yield
    except InputError as error:
        error.name_plugin(type(plugin).__name__)
        raise
