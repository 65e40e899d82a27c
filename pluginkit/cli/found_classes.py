"""What ``--plugins`` and ``--rewrites`` name, beside what is installed, and the choice of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin
    from pluginkit.onnx.model.plugin_nodes import PluginKey
    from pluginkit.onnx.rewriting.rewrite import Rewrite


class Choice(TypedDict):
    """Names of rewrites, as rewrite_model and what calls it take them."""

    only: list[str]
    skip: list[str]
    also: list[str]


def plugins_of(args: argparse.Namespace) -> dict[PluginKey, type[Plugin]]:
    """Every plugin that the command may use, by registry key."""
    from pluginkit.discovery import find_plugins

    return find_plugins(args.plugins)


def rewrites_of(args: argparse.Namespace) -> list[type[Rewrite]]:
    """Every rewrite that the command may use, in order."""
    from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

    return find_rewrites(args.rewrites)


def choice_of(args: argparse.Namespace) -> Choice:
    """What ``--only``, ``--skip`` and ``--with`` name."""
    return Choice(only=args.only, skip=args.skip, also=args.also)
