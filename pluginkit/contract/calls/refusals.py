"""Put the plugin's name on the errors that its own methods raise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import InputError


def asked(plugin: Plugin, method: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Call a method of the author's; an InputError of it gets the plugin's name."""
    try:
        return method(*arguments)
    except InputError as error:
        error.name_plugin(type(plugin).__name__)
        raise
