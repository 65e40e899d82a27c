"""The options that put a precision into a model, for commands that rewrite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.errors import UsageError
from pluginkit.quantities import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.onnx.precision.precision_options import (
        Precision,
        PrecisionReport,
        Quantization,
    )

#: What a conversion adds.
_ADDED = {"int8": "quantization"}
#: Nodes that a table lists; a model may have thousands.
_SHOWN = 100


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision`` and what goes with it."""
    group = parser.add_argument_group("precision")
    group.add_argument(
        "--precision",
        choices=("float16", "bfloat16", "int8"),
        help="let the model compute in this type, but for what needs float32: normalisations, "
        "exponentials, reductions; int8 is for convolutions and matrix products; inputs and "
        "outputs stay as they are",
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
    group.add_argument(
        "--calibrate",
        type=Path,
        metavar="NPZ or FOLDER",
        help="inputs to measure the ranges of int8 on, and its loss",
    )
    group.add_argument(
        "--ranges",
        type=Path,
        metavar="FILE",
        help="lines 'tensor: range' for int8, or TensorRT's calibration cache",
    )


#: The options that a precision takes, besides --keep and --keep-ops.
_OPTIONS_OF = {
    None: (),
    "float16": ("precision_data", "convert_io"),
    "bfloat16": ("precision_data", "convert_io"),
    "int8": ("calibrate", "ranges"),
}


def precision_of_args(args: argparse.Namespace) -> Precision | Quantization | None:
    """Return what the options ask for; None for the model's own precision.

    Errors:
        PK616: an option has no meaning without ``--precision``, or with this one, or lacks another.
        PK610, PK617: inputs or ranges cannot be read.
    """
    _refuse_misplaced(args)
    if args.precision is None:
        return None
    from pluginkit.onnx.precision.precision_options import Precision, Quantization

    keep_ops = [op_type for text in args.keep_ops for op_type in text.split(",")]
    if args.precision != "int8":
        inputs = _input_sets(args.precision_data)
        return Precision(
            args.precision,
            keep=args.keep,
            keep_ops=keep_ops,
            convert_io=args.convert_io,
            inputs=inputs,
        )
    from pluginkit.onnx.precision.tensor_ranges import read_ranges

    return Quantization(
        keep=args.keep,
        keep_ops=keep_ops,
        inputs=_input_sets(args.calibrate),
        ranges=None if args.ranges is None else read_ranges(args.ranges),
    )


def _refuse_misplaced(args: argparse.Namespace) -> None:
    """Refuse options that say nothing of the precision.

    Errors:
        PK616: there is one.
    """
    common = () if args.precision is None else ("keep", "keep_ops")
    allowed = {*common, *_OPTIONS_OF[args.precision]}
    for option in ("keep", "keep_ops", *_OPTIONS_OF["float16"], *_OPTIONS_OF["int8"]):
        if getattr(args, option) and option not in allowed:
            owners = [each for each, options in _OPTIONS_OF.items() if each and option in options]
            raise UsageError(
                "PK616",
                f"--{option.replace('_', '-')} says nothing of "
                f"{args.precision or 'a model in its own precision'}.",
                fix=f"add --precision {' or '.join(owners or ['float16, bfloat16, int8'])}.",
            )
    if args.precision == "int8" and args.calibrate is None and args.ranges is None:
        raise UsageError(
            "PK616",
            "--precision int8 is given without ranges.",
            fix="add --calibrate inputs.npz, or --ranges file.",
        )


def _input_sets(path: Path | None) -> list[dict[str, npt.NDArray[Any]]]:
    return [] if path is None else options.load_input_sets(path)


def print_precision(report: PrecisionReport) -> None:
    """Print what a conversion did, and which nodes stay in float32."""
    from pluginkit.cli.terminal_output import print_line, print_table

    print_line(
        f"{report.dtype}: {counted(report.converted, 'node')} converted, "
        f"{counted(report.casts, _ADDED.get(report.dtype, 'cast'))} added, "
        f"{len(report.kept)} kept in float32."
    )
    losses = [
        (
            each.name,
            f"{each.largest_error:.3g}",
            f"{each.largest_value:.3g}",
            f"{each.signal_to_noise_db:.1f} dB",
        )
        for each in report.losses
    ]
    if losses:
        columns = ("output", "largest error", "largest value", "signal to noise")
        print_table("Loss against float32 on the given inputs", columns, losses)
    rows = [(each.node, each.where, each.reason) for each in report.kept[:_SHOWN]]
    if rows:
        print_table("Kept in float32", ("node", "in", "reason"), rows)
    if len(report.kept) > _SHOWN:
        print_line(f"  and {len(report.kept) - _SHOWN} more, which --json lists.")
