"""Run two models on the same inputs and print the largest error of each output.

The original runs in ONNX Runtime, the rewritten model with its plugins' numpy references, or with
--gpu their kernels. Inputs are drawn so that index inputs stay valid. Exit code 1 when an output
is out of tolerance.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.onnx.compare import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("original", type=Path, help="the ONNX model that is right")
    parser.add_argument("rewritten", type=Path, help="the ONNX model to check, with plugins")
    parser.add_argument(
        "--inputs", type=Path, metavar="NPZ", help="an array for each input (default: drawn)"
    )
    parser.add_argument(
        "--range",
        action="append",
        default=[],
        metavar="NAME:LO,HI",
        help="draw an input from LO on and below HI",
    )
    parser.add_argument(
        "--shapes",
        action="append",
        default=[],
        metavar="NAME:DIMS",
        help="draw an input of this shape, as in x:100x16",
    )
    parser.add_argument(
        "--runs", type=options.positive_int, default=1, metavar="N", help="draw and run N times"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--rtol", type=float, help="relative tolerance (default: by dtype)")
    parser.add_argument("--atol", type=float, help="absolute tolerance (default: by dtype)")
    parser.add_argument("--gpu", action="store_true", help="run the plugins' kernels on the GPU")
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Compare two models."""
    from pluginkit.cli.discover import plugins_of
    from pluginkit.cli.output import print_json
    from pluginkit.onnx.compare import compare_models

    ranges, shapes = parse_ranges(args.range), parse_dims(args.shapes)
    inputs = options.load_arrays(args.inputs) if args.inputs is not None else None
    if inputs is not None and (ranges or shapes or args.runs > 1):
        raise UsageError(
            "PK612", "--inputs gives the arrays, so --range, --shapes and --runs have no place."
        )
    comparison = compare_models(
        args.original,
        args.rewritten,
        inputs=inputs,
        ranges=ranges,
        shapes=shapes,
        runs=args.runs,
        seed=args.seed,
        rtol=args.rtol,
        atol=args.atol,
        use_gpu=args.gpu,
        plugins=plugins_of(args),
    )
    if args.json:
        print_json({"ok": comparison.ok, **dataclasses.asdict(comparison)})
    else:
        _print(comparison)
    return 0 if comparison.ok else 1


def parse_ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """``["x:-1,1"]`` as ``{"x": (-1.0, 1.0)}``.

    Errors:
        PK612: not of this form.
    """
    ranges = {}
    for text in texts:
        name, _, limits = text.rpartition(":")
        try:
            low, high = (float(limit) for limit in limits.split(","))
        except ValueError:
            low, high = 1.0, 0.0
        if not name or not low < high:
            raise UsageError(
                "PK612", f"--range '{text}': expected NAME:LO,HI with LO < HI, as in x:-1,1."
            )
        ranges[name] = (low, high)
    return ranges


def parse_dims(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``["x:100x16"]`` as ``{"x": (100, 16)}``.

    Errors:
        PK612: not of this form.
    """
    shapes = {}
    for text in texts:
        name, _, dims = text.rpartition(":")
        if not name or not re.fullmatch(r"[0-9]{1,18}(x[0-9]{1,18})*", dims):
            raise UsageError("PK612", f"--shapes '{text}': expected NAME:DIMS, as in x:100x16.")
        shapes[name] = tuple(int(dim) for dim in dims.split("x"))
    return shapes


def _print(comparison: Comparison) -> None:
    from pluginkit.cli.output import print_line, print_table
    from pluginkit.engine.profiles import text_from_shape

    inputs = (f"{name} {text_from_shape(shape)}" for name, shape in comparison.inputs.items())
    rows = [
        (
            one.name,
            one.dtype,
            text_from_shape(one.shape),
            f"{one.max_abs_error:.3g}",
            f"{one.max_rel_error:.3g}",
            "ok" if one.ok else f"{one.mismatches} out of tolerance",
        )
        for one in comparison.outputs
    ]
    columns = ("output", "dtype", "shape", "largest error", "relative", "")
    print_table(f"{comparison.runs} runs with {', '.join(inputs)}", columns, rows)
    print_line("Equal within tolerance." if comparison.ok else "DIFFERENT: see the table.")
