"""Give a plan that was built with --refit the weights of another model, on this machine's GPU.

The model is rewritten as a build would, so give the same rewrites and the same --precision as
there. What does not fit (plan, TensorRT, GPU, plugins) is reported before TensorRT sees the plan.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pluginkit.cli import options
from pluginkit.cli.precision_arguments import add_precision, precision_of_args
from pluginkit.quantities import bytes_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("plan", type=Path, help="the plan")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="MODEL",
        help="the ONNX model with the new weights, with the nodes and names of the old one",
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="the new plan (default: NAME.refitted.plan)"
    )
    options.add_shapes(parser, ", as the plan was built with")
    add_precision(parser)
    options.add_choice(parser)
    options.add_flavour(parser)
    options.add_discovery(parser)
    options.add_common(parser, has_report=False)


def run(args: argparse.Namespace) -> int:
    """Refit a plan."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.engine.plan.refit_plan import refit_plan
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    output = args.output or args.plan.parent / f"{args.plan.stem}.refitted.plan"
    manifest = refit_plan(
        args.plan,
        args.weights,
        output,
        shapes=parse_shapes(args.shapes),
        precision=precision_of_args(args),
        flavour=args.tensorrt,
        plugins=plugins_of(args),
        rewrites=rewrites_of(args),
        choice=choice_of(args),
        verbose=args.verbose,
    )
    print_line(f"Wrote {output} ({bytes_text(manifest.plan_bytes)}), with its manifest.")
    return 0
