"""Finding what ``--plugins`` and ``--rewrites`` name, beside what is installed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pluginkit.onnx.nodes import PluginKey
    from pluginkit.onnx.rewrite import Rewrite
    from pluginkit.plugin import Plugin


def plugins_of(args: argparse.Namespace) -> dict[PluginKey, type[Plugin]]:
    """Every plugin that the command may use, by registry key."""
    from pluginkit.discovery import find_plugins

    return find_plugins(args.plugins)


def rewrites_of(args: argparse.Namespace) -> list[type[Rewrite]]:
    """Every rewrite that the command may use, in order."""
    from pluginkit.discovery import find_rewrites

    return find_rewrites(args.rewrites)
