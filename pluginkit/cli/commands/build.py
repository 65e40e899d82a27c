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
from pluginkit.cli.builder_arguments import add_builder, build_options, print_plan
from pluginkit.cli.commands.rewrite import print_report, report_of
from pluginkit.cli.precision_arguments import add_precision, precision_of_args, print_precision
from pluginkit.quantities import bytes_text, counted

if TYPE_CHECKING:
    from pluginkit.engine import BuildResult
    from pluginkit.engine.plan.library_record import LibraryRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    add_builder(parser, "model")
    parser.add_argument(
        "--standalone",
        action="store_true",
        help="put the plugins into the plan, as a C++ library made of them: it then needs no "
        "Python, and is code, which whoever loads it must allow (needs g++)",
    )
    parser.add_argument(
        "--mark",
        action="append",
        default=[],
        metavar="VALUE",
        help="make an output of a value inside the model, for compare; * and ? stand for others; "
        "fusions around it are lost",
    )
    add_precision(parser)
    options.add_choice(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Build a plan."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.progress_bars import shown_progress
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine import build_engine
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    shapes = parse_shapes(args.shapes)
    build = build_options(
        args, precision=precision_of_args(args), standalone=args.standalone, mark=args.mark
    )
    with shown_progress() as observer:
        result = build_engine(
            args.model,
            args.output,
            shapes=shapes,
            options=build,
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
    print_report(result.rewrite, lists_left=False)
    if result.precision is not None:
        print_precision(result.precision)
    print_plan(result)
    if result.manifest.library is not None:
        _print_library(result.manifest.library)


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
