"""Find the plugins and rewrites that a command may use, and read which rewrites it applies."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin
    from pluginkit.errors import PluginkitError
    from pluginkit.onnx.model.plugin_nodes import PluginKey
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.trt.target import Target

#: The codes of errors about a plugin that was not found.
_UNKNOWN_PLUGIN = ("PK611", "PK520", "PK523")


def plugins_of(args: argparse.Namespace) -> dict[PluginKey, type[Plugin]]:
    """Return every plugin that the command may use, by registry key.

    A module that cannot be imported is named on stderr, and its plugins are left out: the command
    may not need them. If it then fails, see ``explain_with_broken_modules``.
    """
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.discovery import find_plugins

    broken: list[PluginkitError] = []
    found = find_plugins(args.plugins, broken)
    args.broken_modules = broken
    for error in broken:
        where = f" ({error.where})" if error.where else ""
        print_line(f"pluginkit: left out: {error.code} {error.message}{where}", stderr=True)
    return found


def explain_with_broken_modules(error: PluginkitError, args: argparse.Namespace) -> None:
    """Add to an error about an unknown plugin which modules could not be imported."""
    broken = getattr(args, "broken_modules", ())
    if broken and error.code in _UNKNOWN_PLUGIN:
        reasons = [f"{each.code} {each.message}" for each in broken]
        error.cause = "\n".join([*filter(None, [error.cause]), *reasons])
        error.fix = "correct the module that could not be imported, if the plugin is in it."


def rewrites_of(args: argparse.Namespace) -> list[type[Rewrite]]:
    """Return every rewrite that the command may use, in order."""
    from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

    return find_rewrites(args.rewrites)


def choice_of(args: argparse.Namespace, target: Target | None = None) -> RewriteChoice:
    """Return what ``--only``, ``--skip`` and ``--with`` choose, for a TensorRT."""
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

    return RewriteChoice(args.only, args.skip, args.also, target)
