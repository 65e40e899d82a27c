"""Choose a plugin by its name, and suggest the nearest name when there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.contract.spec import PluginKey
from pluginkit.errors import UsageError


def plugins_named(name: str, plugins: Plugins) -> list[type[Plugin]]:
    """Return the plugins of that name, in any case: there may be none or several.

    Args:
        name: a class name, a plugin_name, or a plugin_namespace and a plugin_name as in
            ``"pluginkit::ScatterElements_PK"``.
        plugins: the plugins to choose from.
    """
    wanted = name.lower()
    return [
        plugin
        for (plugin_name, _, namespace), plugin in plugins.items()
        if wanted
        in {text.lower() for text in (plugin.__name__, plugin_name, f"{namespace}::{plugin_name}")}
    ]


def plugin_named(name: str, plugins: Plugins) -> type[Plugin]:
    """Return the only plugin of that name; arguments as for :func:`plugins_named`.

    Errors:
        PK611: there is none, or there are several.
    """
    found = plugins_named(name, plugins)
    if len(found) == 1:
        return found[0]
    if not found:
        raise unknown_name("plugin", name, [plugin.__name__ for plugin in plugins.values()])
    raise UsageError(
        "PK611",
        f"'{name}' is the name of {len(found)} plugins; expected one.",
        cause="\n".join(key_text(plugin.spec.key) for plugin in found),
        fix="write the namespace too, as in pluginkit::ScatterElements_PK.",
    )


def unknown_name(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """Return the error for an unknown name, which suggests the nearest known one.

    Args:
        kind: what was looked for: ``"plugin"``.
        name: the name.
        names: the known names.
    """
    names = list(names)
    near = nearest(name, names)
    return UsageError(
        "PK611",
        f"there is no {kind} '{name}'; expected one of {', '.join(names)}.",
        fix=f"did you mean '{near}'?" if near else "see pluginkit list.",
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most like ``name`` in any case, or None."""
    by_lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None


def key_text(key: PluginKey) -> str:
    """Return a registry key in words."""
    return f"{key[0]} version {key[1]} of namespace '{key[2]}'"
