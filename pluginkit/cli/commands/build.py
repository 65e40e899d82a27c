"""Turn a model into a plan, and write its manifest.

Rewrites the model where needed, registers its plugins, parses, builds, saves. With tensorrt_rtx no
GPU is needed.

A dynamic dimension without a range gets 1 to 1024, optimized for 64; one that is named as a batch 1
to 16, for 4; one that shares its name with a dimension that has a range gets that range. The ranges
of every optimization profile are printed.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.cli.commands.rewrite import print_report, report_of

if TYPE_CHECKING:
    from pluginkit.engine import BuildResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    parser.add_argument(
        "-o", "--output", type=Path, help="the plan (default: NAME.plan in the model's folder)"
    )
    options.add_shapes(parser)
    parser.add_argument(
        "--compute-capability",
        action="append",
        default=[],
        metavar="CC",
        help="a GPU to build for, as in 8.9; repeat it or join with commas "
        "(default: this machine's GPU, else 8.6, 8.9 and 12.0)",
    )
    parser.add_argument(
        "--fp16",
        action="store_true",
        help="let the engine compute in float16 (TensorRT 10 only; elsewhere the model decides)",
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
    options.add_choice(parser)
    options.add_flavour(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Build a plan."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.progress_bars import shown_progress
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine import BuildOptions, build_engine
    from pluginkit.engine.build.compute_capabilities import parse_capability
    from pluginkit.engine.build.shape_ranges import parse_shapes

    texts = [text for given in args.compute_capability for text in given.split(",")]
    shapes, capabilities = parse_shapes(args.shapes), [parse_capability(text) for text in texts]
    with shown_progress() as observer:
        result = build_engine(
            args.model,
            args.output,
            shapes=shapes,
            options=BuildOptions(
                flavour=args.tensorrt,
                interface=args.interface,
                compute_capabilities=capabilities,
                version_compatible=args.version_compatible,
                fp16=args.fp16,
                workspace_bytes=args.memory,
                timing_cache=args.timing_cache,
            ),
            plugins=plugins_of(args),
            rewrites=rewrites_of(args),
            choice=choice_of(args),
            observer=observer,
            verbose=args.verbose,
        )
    if args.json:
        document = {"plan": result.plan_path, "seconds": round(result.seconds, 3)}
        print_json(
            {
                **document,
                **report_of(result.rewrite),
                "manifest": dataclasses.asdict(result.manifest),
            }
        )
    else:
        _print_result(result)
    return 0


def _print_result(result: BuildResult) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table
    from pluginkit.engine.build.shape_ranges import text_from_shape

    print_report(result.rewrite)
    for number, profile in enumerate(result.profiles):
        if not profile.ranges:
            continue
        rows = [
            (name, *map(text_from_shape, shapes), "default" if name in profile.defaulted else "")
            for name, shapes in profile.ranges.items()
        ]
        title = "Shapes" if len(result.profiles) == 1 else f"Shapes, profile {number}"
        print_table(title, ("input", "min", "opt", "max", ""), rows)
    manifest = result.manifest
    print_line(
        f"Wrote {result.plan_path} ({manifest.plan_bytes / 2**20:.1f} MiB) for compute capability "
        f"{', '.join(manifest.compute_capabilities)} with {manifest.flavour} {manifest.tensorrt} "
        f"in {result.seconds:.1f} s."
    )
