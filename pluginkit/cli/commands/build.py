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
from pluginkit.cli.config_arguments import add_config, config_of_args
from pluginkit.cli.precision_arguments import add_precision, precision_of_args, print_precision
from pluginkit.quantities import bytes_text, counted

if TYPE_CHECKING:
    from pluginkit.engine import BuildResult
    from pluginkit.engine.plan.library_record import LibraryRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    parser.add_argument(
        "-o", "--output", type=Path, help="the plan (default: NAME.plan in the model's folder)"
    )
    options.add_shapes(parser)
    options.add_compute_capability(parser)
    parser.add_argument(
        "--fp16",
        action="store_true",
        help="let the engine compute in float16 (TensorRT 10 only; elsewhere the model decides)",
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
        "--standalone",
        action="store_true",
        help="put the plugins into the plan, as a C++ library made of them: it then needs no "
        "Python, and is code, which whoever loads it must allow (needs g++)",
    )
    parser.add_argument(
        "--interface",
        choices=("auto", "v2", "v3"),
        default="auto",
        help="IPluginV2DynamicExt, IPluginV3 or what fits the flavour (default)",
    )
    add_precision(parser)
    add_config(parser)
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
    from pluginkit.engine.build.shape_ranges import parse_shapes

    shapes, capabilities = parse_shapes(args.shapes), options.compute_capabilities(args)
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
                tf32=not args.no_tf32,
                precision=precision_of_args(args),
                workspace_bytes=args.memory,
                timing_cache=args.timing_cache,
                standalone=args.standalone,
                config=config_of_args(args),
            ),
            plugins=plugins_of(args),
            rewrites=rewrites_of(args),
            choice=choice_of(args),
            observer=observer,
            verbose=args.verbose,
        )
    if args.json:
        document = {"plan": result.plan_path, "seconds": round(result.seconds, 3)}
        made = result.precision
        print_json(
            {
                **document,
                **({} if made is None else {"precision": dataclasses.asdict(made)}),
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
    if result.precision is not None:
        print_precision(result.precision)
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
        f"Wrote {result.plan_path} ({bytes_text(manifest.plan_bytes)}) for compute capability "
        f"{', '.join(manifest.compute_capabilities)} with {manifest.flavour} {manifest.tensorrt} "
        f"in {result.seconds:.1f} s."
    )
    if manifest.library is not None:
        _print_library(manifest.library)


def _print_library(library: LibraryRecord) -> None:
    from pluginkit.cli.terminal_output import print_line

    print_line(
        f"It holds its plugins: {bytes_text(library.bytes)}, "
        f"{counted(library.kernels, 'kernel')} of {bytes_text(library.kernel_bytes)}, "
        f"{counted(len(library.variants), 'variant')}; "
        f"{library.proved_calls} calls agree with the Python classes. No engine was executed."
    )
    print_line(f"It needs {library.needs}.")
    print_line(
        "It is code: whoever loads it must allow that, with engineHostCodeAllowed, and should "
        "trust where it comes from. pluginkit run does so for the plan that the manifest describes."
    )
