"""Find rewrite classes in folders, as :mod:`pluginkit.discovery` does for plugins."""

from __future__ import annotations

from pluginkit.discovery import (
    Folders,
    configured_folders,
    found_classes,
    package_of,
    refuse_twin,
)
from pluginkit.onnx.rewriting.rewrite import Rewrite


def find_rewrites(folders: Folders = ()) -> list[type[Rewrite]]:
    """Return every rewrite class that ships, is configured, or is in the given folders.

    A module of rewrites imports its plugins by the name of their folder, ``from plugins.silu import
    Silu``, when that folder is named in the pyproject.toml or was passed to
    :func:`pluginkit.discovery.find_plugins` before.

    Args:
        folders: further folders to search.

    Errors:
        PK430, PK432: the same as for find_plugins.  PK431: two rewrites have the same name.
    """
    for folder in configured_folders("plugins"):
        package_of(folder)
    found: dict[str, type[Rewrite]] = {}
    for cls in found_classes("rewrites", folders, Rewrite, "op"):
        refuse_twin("rewrites", cls.__name__, found.setdefault(cls.__name__, cls), cls)
    return list(found.values())
