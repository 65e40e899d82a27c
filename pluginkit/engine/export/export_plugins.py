"""Export plugins as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.export.export_library import ExportOptions, ExportResult, export_library
from pluginkit.export.plugin_variants import plugin_variants


def export_plugins(
    plugin_classes: Sequence[type[Plugin]],
    folder: str | Path,
    options: ExportOptions = ExportOptions(),
    *,
    types: Sequence[DType] = (),
    name: str | None = None,
) -> ExportResult:
    """Write a library of plugins, for the attributes and ranks of their cases and any shape.

    Args:
        plugin_classes: the plugins.
        folder: where the library goes.
        options: what it is made for; calls that cannot be exported are left out, and listed.
        types: for type variables that can have one of them, these alone.
        name: the library's name; that of the first plugin unless given.

    Errors:
        PK809: a plugin has no cases; otherwise as for ``export_library``.
    """
    variants = [one for cls in plugin_classes for one in plugin_variants(cls, types)]
    chosen = name or plugin_classes[0].__name__
    return export_library(variants, Path(folder), chosen, replace(options, leaves_out=True))
