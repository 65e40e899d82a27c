"""Build a plan of a network that a script describes with TensorRT's API.

The script is executed. It has a function load_network(builder, network), as Polygraphy's network
scripts have, which adds layers and plugins (pluginkit.add_to_network), and marks the outputs. With
tensorrt_rtx no GPU is needed; where the script adds plugins, the function is called twice there.

A dynamic dimension, -1, without a range gets 1 to 1024, optimized for 64.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.cli.builder_arguments import add_builder, build_options, print_plan
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.engine.plan.manifest import PluginRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("script", type=Path, help="the Python file")
    add_builder(parser, "script")
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Build a plan of a script's network."""
    from pluginkit.cli.progress_bars import shown_progress
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine import build_network
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    shapes, build = parse_shapes(args.shapes), build_options(args)
    with shown_progress() as observer:
        built = build_network(
            args.script,
            args.output,
            shapes=shapes,
            options=build,
            observer=observer,
            verbose=args.verbose,
        )
    if args.json:
        print_json(
            {
                "plan": built.plan_path,
                "seconds": round(built.seconds, 3),
                "manifest": dataclasses.asdict(built.manifest),
            }
        )
        return 0
    _print_plugins(built.manifest.plugins)
    print_plan(built)
    return 0


def _print_plugins(plugins: tuple[PluginRecord, ...]) -> None:
    from pluginkit.cli.terminal_output import print_table

    layers = [(node.node, plugin.name) for plugin in plugins for node in plugin.nodes]
    if layers:
        title = f"{counted(len(layers), 'layer')} of {counted(len(plugins), 'plugin')}"
        print_table(title, ("layer", "plugin"), layers)
