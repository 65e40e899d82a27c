"""The options that put a precision into a model, for commands that rewrite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.onnx.precision.precision_options import Precision, PrecisionReport

#: Nodes that a table lists; a model may have thousands.
_SHOWN = 100


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision`` and what goes with it."""
    group = parser.add_argument_group("precision")
    group.add_argument(
        "--precision",
        choices=("float16", "bfloat16"),
        help="let the model compute in this type, but for what needs float32: normalisations, "
        "exponentials, reductions; inputs and outputs stay as they are",
    )
    group.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="PATTERN",
        help="keep nodes in float32 whose name, or an output's, is like this, as in '*/head/*'",
    )
    group.add_argument(
        "--keep-ops",
        action="append",
        default=[],
        metavar="OP,...",
        help="keep nodes of these op_types in float32, as in Gemm,ScatterElements_PK",
    )
    group.add_argument(
        "--precision-data",
        type=Path,
        metavar="NPZ or FOLDER",
        help="inputs to run the model on; what leaves the range of the type on them stays float32",
    )
    group.add_argument(
        "--convert-io",
        action="store_true",
        help="give the model's inputs and outputs the type too",
    )


def precision_of_args(args: argparse.Namespace) -> Precision | None:
    """Return what the options ask for; None for the model's own precision.

    Errors:
        PK616: an option has no meaning without ``--precision``.  PK610: inputs cannot be read.
    """
    if args.precision is None:
        for option in ("keep", "keep_ops", "precision_data", "convert_io"):
            if getattr(args, option):
                raise UsageError(
                    "PK616",
                    f"--{option.replace('_', '-')} is given without --precision.",
                    fix="add --precision float16 or bfloat16.",
                )
        return None
    from pluginkit.onnx.precision.precision_options import Precision

    return Precision(
        args.precision,
        keep=args.keep,
        keep_ops=[op_type for text in args.keep_ops for op_type in text.split(",")],
        convert_io=args.convert_io,
        inputs=[] if args.precision_data is None else options.load_input_sets(args.precision_data),
    )


def print_precision(report: PrecisionReport) -> None:
    """Print what a conversion did, and which nodes stay in float32."""
    from pluginkit.cli.terminal_output import print_line, print_table

    print_line(
        f"{report.dtype}: {counted(report.converted, 'node')} converted, "
        f"{counted(report.casts, 'cast')} added, {len(report.kept)} kept in float32."
    )
    rows = [(each.node, each.where, each.reason) for each in report.kept[:_SHOWN]]
    if rows:
        print_table("Kept in float32", ("node", "in", "reason"), rows)
    if len(report.kept) > _SHOWN:
        print_line(f"  and {len(report.kept) - _SHOWN} more, which --json lists.")
