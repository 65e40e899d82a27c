"""Run two models, or a model and its plan, on the same inputs and print the largest errors.

The original runs in ONNX Runtime, the rewritten model with its plugins' numpy references; with
--kernels their kernels run instead, on the PTX machine, which needs no GPU and reports what is
wrong with them, and with --gpu on a GPU. A node that ONNX Runtime does not know is computed by the
reference of the plugin that replaced it; to compare such a node too, give outputs from elsewhere
with --expected. Inputs are drawn so that index inputs stay valid. --shapes takes what build takes:
x:1x16,64x16,1024x16 runs the minimum, the optimum and the maximum, and a slash begins those of the
next profile. --taps compares the values inside the models as well and names the first that differs.
Exit code 1 when an output is out of tolerance.

Where the second file is a plan, it runs on this machine's GPU, on the model's inputs; values that
build --mark has marked are compared as well. --commands FOLDER writes what Polygraphy and trtexec
need to do the same, and runs no plan.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.onnx.running.random_inputs import InputShapes

_REPORTS = (".json", ".md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("original", type=Path, help="the ONNX model to compare with")
    parser.add_argument(
        "rewritten", type=Path, help="the ONNX model to check, with plugins, or a plan"
    )
    parser.add_argument(
        "--inputs", type=Path, metavar="NPZ", help="an array for each input (default: drawn)"
    )
    parser.add_argument(
        "--expected",
        type=Path,
        metavar="NPZ",
        help="an array for each output, computed elsewhere from --inputs, in the same file or "
        "another; the original is not run",
    )
    parser.add_argument(
        "--range",
        action="append",
        default=[],
        metavar="NAME:LO,HI",
        help="draw an input from LO (included) to HI (excluded)",
    )
    parser.add_argument(
        "--shapes",
        action="append",
        default=[],
        metavar="NAME:DIMS or NAME:MIN,OPT,MAX",
        help="draw an input of this shape, as in x:100x16, or run all three; given several times "
        "for one input, run each",
    )
    parser.add_argument(
        "--runs",
        type=options.positive_int,
        default=1,
        metavar="N",
        help="draw and run N times, with each set of shapes",
    )
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first draw")
    for name, what in (("--rtol", "relative"), ("--atol", "absolute")):
        parser.add_argument(
            name,
            action="append",
            default=[],
            metavar="NUMBER or DTYPE:NUMBER",
            help=f"{what} tolerance of every dtype, or of one, as in float16:2e-2 "
            "(default: by dtype)",
        )
    parser.add_argument(
        "--limit",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a model may run before it counts as one that never ends (default: 600)",
    )
    parser.add_argument(
        "--taps", action="store_true", help="find the first value inside the models that differs"
    )
    kernels = parser.add_mutually_exclusive_group()
    kernels.add_argument(
        "--kernels", action="store_true", help="run the plugins' kernels on the PTX machine"
    )
    kernels.add_argument("--gpu", action="store_true", help="run the plugins' kernels on the GPU")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the report to a .json or .md file"
    )
    group = parser.add_argument_group("a plan")
    group.add_argument(
        "--commands",
        type=Path,
        metavar="FOLDER",
        help="write inputs, expected outputs and the command lines for polygraphy and trtexec to "
        "this folder, print them, and run no plan",
    )
    options.add_allow_host_code(group)
    options.add_flavour(group)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Compare two models."""
    from pluginkit.cli.comparison_report import print_comparison, write_report
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.plan_comparison import compare_with_plan, is_plan
    from pluginkit.onnx.running.compare_models import compare_models
    from pluginkit.onnx.running.run_limit import run_limit

    ranges, shapes = parse_ranges(args.range), parse_shape_sets(args.shapes)
    rtol, atol = parse_tolerances("--rtol", args.rtol), parse_tolerances("--atol", args.atol)
    if args.report is not None and args.report.suffix not in _REPORTS:
        raise UsageError(
            "PK615", f"--report '{args.report}': expected a name that ends in .json or .md."
        )
    inputs = options.load_arrays(args.inputs) if args.inputs is not None else None
    if inputs is not None and (ranges or args.shapes or args.runs > 1):
        raise UsageError(
            "PK612", "--inputs gives the arrays, so --range, --shapes and --runs have no place."
        )
    if args.expected is not None and inputs is None:
        raise UsageError("PK612", "--expected needs the --inputs that it was computed from.")
    expected = options.load_arrays(args.expected) if args.expected is not None else None
    if is_plan(args.rewritten):
        with run_limit(args.limit):
            return compare_with_plan(args, inputs, expected, ranges, shapes, rtol, atol)
    if args.commands is not None or args.tensorrt is not None or args.allow_host_code:
        raise UsageError(
            "PK612", "--commands, --tensorrt and --allow-host-code are for comparing with a plan."
        )
    comparison = compare_models(
        args.original,
        args.rewritten,
        inputs=inputs,
        expected=expected,
        ranges=ranges,
        shapes=shapes,
        runs=args.runs,
        seed=args.seed,
        rtol=rtol,
        atol=atol,
        limit_s=args.limit,
        taps=args.taps,
        use_gpu=args.gpu,
        use_machine=args.kernels,
        plugins=plugins_of(args),
    )
    models = (args.original, args.rewritten)
    if args.report is not None:
        write_report(args.report, models, comparison)
    print_comparison(models, comparison, as_json=args.json)
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


def parse_shape_sets(texts: Sequence[str]) -> list[InputShapes]:
    """``["x:1x4,8x4,64x4", "y:?x4"]`` as three sets of shapes, None for ``?``.

    Errors:
        PK500, PK503: as for ``parse_shapes``.  PK613: inputs have different numbers of shapes.
    """
    from pluginkit.onnx.inference.shape_ranges import parse_ranges, parse_shapes

    found: dict[str, list[tuple[int | None, ...]]] = {}
    for text in texts:
        for name, spec in parse_shapes([text]).items():
            for shapes in parse_ranges(name, spec):
                found.setdefault(name, []).extend(shapes if len({*shapes}) > 1 else shapes[:1])
    count = max(map(len, found.values()), default=1)
    for name, sets in found.items():
        if len(sets) not in (1, count):
            raise UsageError(
                "PK613",
                f"--shapes gives '{name}' {len(sets)} shapes and another input {count}; "
                "expected one, or as many.",
            )
    return [{name: sets[at % len(sets)] for name, sets in found.items()} for at in range(count)]


def parse_tolerances(option: str, texts: Sequence[str]) -> float | dict[str, float] | None:
    """``["1e-3"]`` as 0.001, ``["float16:1e-2"]`` as a tolerance by dtype.

    Errors:
        PK614: not of this form, or both in one.
    """
    by_dtype: dict[str, float] = {}
    for text in texts:
        dtype, _, number = text.rpartition(":")
        try:
            by_dtype[dtype] = float(number)
        except ValueError:
            raise UsageError(
                "PK614",
                f"{option} '{text}': expected a number, or DTYPE:NUMBER as in float16:0.02.",
            ) from None
    if "" not in by_dtype:
        return by_dtype or None
    if len(by_dtype) > 1:
        raise UsageError(
            "PK614", f"{option} gives one number for all dtypes and others; expected either."
        )
    return by_dtype[""]
