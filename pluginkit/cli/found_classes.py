"""Find the plugins and rewrites that a command may use, and read which rewrites it applies."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin
    from pluginkit.onnx.model.plugin_nodes import PluginKey
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.trt.target import Target


def plugins_of(args: argparse.Namespace) -> dict[PluginKey, type[Plugin]]:
    """Return every plugin that the command may use, by registry key."""
    from pluginkit.discovery import find_plugins

    return find_plugins(args.plugins)


def rewrites_of(args: argparse.Namespace) -> list[type[Rewrite]]:
    """Return every rewrite that the command may use, in order."""
    from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

    return find_rewrites(args.rewrites)


def choice_of(args: argparse.Namespace, target: Target | None = None) -> RewriteChoice:
    """Return what ``--only``, ``--skip`` and ``--with`` choose, for a TensorRT."""
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

    return RewriteChoice(args.only, args.skip, args.also, target)
