"""Run a plan on this machine's GPU, after its manifest was checked.

The manifest NAME.plan.json must be in the plan's folder, but with --allow-host-code: then the
inputs are those that the engine names. What does not fit (plan, TensorRT, GPU,
plugins, inputs) is reported before TensorRT sees the plan.

A plan that was built with --standalone holds a library, which is code: loading the plan executes
it. That is done without asking only where the plan is, by its hash, the one that its manifest
describes. Neither proves who built it: run plans of people whom you would let run a program.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.errors import UsageError
from pluginkit.quantities import bytes_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.engine.plan.run_engine import Timing

#: Runs before the timed ones, so that lazy loading is not measured.
_WARM_UP = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("plan", type=Path, help="the plan")
    parser.add_argument(
        "--inputs",
        type=Path,
        required=True,
        metavar="NPZ",
        help="an array for each input; those of outputs, as compare --expected reads them, are "
        "left out",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NPZ", help="write the outputs to this file"
    )
    parser.add_argument(
        "--iterations",
        type=options.positive_int,
        metavar="N",
        help="run N times after a warm-up and print the times, copies to and from the GPU included",
    )
    options.add_allow_host_code(parser, ", or where there is none")
    options.add_flavour(parser)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run a plan."""
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.engine import time_engine
    from pluginkit.engine.plan.manifest import is_alone, read_manifest
    from pluginkit.engine.plan.output_files import check_writable

    library, outputs = None, set[str]()
    is_trusted = args.allow_host_code and is_alone(args.plan)
    if is_trusted:
        print_line(
            f"{args.plan} has no manifest: loading it executes the code that it may hold.",
            stderr=True,
        )
    else:
        manifest = read_manifest(args.plan)  # a missing one is said first of all
        library, outputs = manifest.library, {tensor.name for tensor in manifest.outputs}
    if library is not None:
        print_line(
            f"{args.plan} holds a library of its plugins ({bytes_text(library.bytes)}): loading "
            "it executes that code.",
            stderr=True,
        )
    arrays = options.load_arrays(args.inputs)
    inputs = {name: array for name, array in arrays.items() if name not in outputs}
    if args.output is not None:
        check_writable(args.output)
    timing = time_engine(
        args.plan,
        inputs,
        args.iterations or 1,
        warm_up=_WARM_UP if args.iterations else 0,
        flavour=args.tensorrt,
        plugins=plugins_of(args) if library is None and not is_trusted else {},
        allow_host_code=args.allow_host_code,
        verbose=args.verbose,
    )
    if args.output is not None:
        _save_arrays(args.output, timing.outputs)
    if args.json:
        print_json(_document(args, timing))
        return 0
    _print_outputs(timing)
    if args.iterations:
        print_line(
            f"{args.iterations} runs: median {statistics.median(timing.milliseconds):.3f} ms, "
            f"best {min(timing.milliseconds):.3f} ms, worst {max(timing.milliseconds):.3f} ms, "
            "copies to and from the GPU included."
        )
    return 0


def _summary(array: npt.NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    values = array.astype(np.float64) if array.size else None
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "min": None if values is None else float(values.min()),
        "mean": None if values is None else float(values.mean()),
        "max": None if values is None else float(values.max()),
    }


def _document(args: argparse.Namespace, timing: Timing) -> dict[str, Any]:
    return {
        "plan": args.plan,
        "output": args.output,
        "outputs": {name: _summary(array) for name, array in timing.outputs.items()},
        "milliseconds": timing.milliseconds if args.iterations else None,
    }


def _print_outputs(timing: Timing) -> None:
    from pluginkit.cli.terminal_output import print_table
    from pluginkit.engine.build.shape_ranges import text_from_shape

    rows = []
    for name, array in timing.outputs.items():
        summary = _summary(array)
        numbers = (
            "-" if summary[key] is None else f"{summary[key]:.6g}" for key in ("min", "mean", "max")
        )
        rows.append((name, summary["dtype"], text_from_shape(array.shape), *numbers))
    print_table("Outputs", ("output", "dtype", "shape", "min", "mean", "max"), rows)


def _save_arrays(path: Path, arrays: Any) -> None:
    import io

    import numpy as np

    from pluginkit.engine.plan.output_files import write_atomically

    if "file" in arrays:  # the name of one of savez's own parameters
        raise UsageError("PK610", "an output is called 'file', which .npz files cannot hold.")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getbuffer())
