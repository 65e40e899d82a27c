"""Put the plugin's name on the errors that its own methods raise."""

from __future__ import annotations

from types import TracebackType

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import InputError


class named_refusals:  # noqa: N801  # a context manager, which a class makes in a third of the time
    """Name the plugin in every InputError that its author raises inside the block."""

    __slots__ = ("_plugin",)

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, InputError):
            error.name_plugin(type(self._plugin).__name__)
