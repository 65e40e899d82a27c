"""What the commands that build share: their options, and what they print of a plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.cli.config_arguments import add_config, config_of_args
from pluginkit.quantities import bytes_text

if TYPE_CHECKING:
    from pluginkit.engine import BuildOptions
    from pluginkit.engine.build.built_engine import BuiltPlan


def add_builder(parser: argparse.ArgumentParser, source: str) -> None:
    """Add the options that say where the plan goes, for which GPUs and shapes, and how to build.

    Args:
        parser: the command's parser.
        source: what the plan is built from, ``"model"``.
    """
    parser.add_argument(
        "-o", "--output", type=Path, help=f"the plan (default: NAME.plan in the {source}'s folder)"
    )
    options.add_shapes(parser)
    options.add_compute_capability(parser)
    parser.add_argument(
        "--fp16",
        action="store_true",
        help=f"let the engine compute in float16 (TensorRT 10 only; elsewhere the {source} "
        "decides)",
    )
    parser.add_argument(
        "--no-tf32",
        action="store_true",
        help="let no product of float32 round its inputs to TF32, which has 10 bits of fraction",
    )
    parser.add_argument(
        "--version-compatible",
        action="store_true",
        help="let later TensorRT versions, and tensorrt_lean, load the plan (tensorrt only)",
    )
    parser.add_argument(
        "--memory",
        type=options.bytes_from_text,
        metavar="SIZE",
        help="the most scratch memory a layer may use, as in 512M (default: TensorRT's own limit)",
    )
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="kernel timings to read and update"
    )
    parser.add_argument(
        "--interface",
        choices=("auto", "v2", "v3"),
        default="auto",
        help="IPluginV2DynamicExt, IPluginV3 or what fits the flavour (default)",
    )
    add_config(parser)
    options.add_flavour(parser)


def build_options(args: argparse.Namespace, **further: Any) -> BuildOptions:
    """Return what the options ask for.

    Args:
        args: the command line.
        further: options that only one command has.

    Errors:
        PK512: a compute capability is malformed.
    """
    from pluginkit.engine import BuildOptions

    return BuildOptions(
        flavour=args.tensorrt,
        interface=args.interface,
        compute_capabilities=options.compute_capabilities(args),
        version_compatible=args.version_compatible,
        fp16=args.fp16,
        tf32=not args.no_tf32,
        workspace_bytes=args.memory,
        timing_cache=args.timing_cache,
        config=config_of_args(args),
        **further,
    )


def print_plan(built: BuiltPlan) -> None:
    """Print the shapes of a plan, its size and its GPUs."""
    from pluginkit.cli.terminal_output import print_line, print_table
    from pluginkit.onnx.inference.shape_ranges import text_from_shape

    for number, profile in enumerate(built.profiles):
        if not profile.ranges:
            continue
        rows = [
            (name, *map(text_from_shape, shapes), "default" if name in profile.defaulted else "")
            for name, shapes in profile.ranges.items()
        ]
        title = "Shapes" if len(built.profiles) == 1 else f"Shapes, profile {number}"
        print_table(title, ("input", "min", "opt", "max", ""), rows)
    manifest = built.manifest
    print_line(
        f"Wrote {built.plan_path} ({bytes_text(manifest.plan_bytes)}) for compute capability "
        f"{', '.join(manifest.compute_capabilities)} with {manifest.flavour} {manifest.tensorrt} "
        f"in {built.seconds:.1f} s."
    )
