"""Finds rewrites by walking folders, as :mod:`pluginkit.discovery` does for plugins."""

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
    """Every rewrite class, in the order in which the driver applies them.

    A module of rewrites imports its plugins by the name of their folder, ``from plugins.silu import
    Silu``, when that folder is named in the pyproject.toml or was passed to
    :func:`pluginkit.discovery.find_plugins` before.

    Args:
        folders: further folders to look into.

    Errors:
        PK430, PK432: as for find_plugins.  PK431: two rewrites have one name.
    """
    for folder in configured_folders("plugins"):
        package_of(folder)
    found: dict[str, type[Rewrite]] = {}
    for cls in found_classes("rewrites", folders, Rewrite, "op"):
        refuse_twin("rewrites", cls.__name__, found.setdefault(cls.__name__, cls), cls)
    return list(found.values())
