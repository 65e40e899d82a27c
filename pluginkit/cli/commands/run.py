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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.errors import UsageError
from pluginkit.quantities import bytes_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.engine.plan.time_runs import Timing


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
        help="run N times after a warm-up and print the times, those of copies to and from the GPU "
        "apart",
    )
    parser.add_argument(
        "--warm-up",
        type=options.positive_int,
        metavar="N",
        help="run N times before --iterations (default: 3); the first sets up what the others use",
    )
    parser.add_argument(
        "--cuda-graph",
        action="store_true",
        help="capture an enqueue as a CUDA graph, and let --iterations replay that",
    )
    options.add_allow_host_code(parser, ", or where there is none")
    options.add_flavour(parser)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run a plan."""
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.engine import run_engine, time_engine
    from pluginkit.engine.plan.manifest import is_alone, read_manifest
    from pluginkit.engine.plan.output_files import check_writable
    from pluginkit.engine.plan.time_runs import WARM_UP

    if args.iterations is None and (args.warm_up or args.cuda_graph):
        raise UsageError(
            "PK542", "--warm-up and --cuda-graph are for timed runs.", fix="add --iterations 100."
        )
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
    how = {
        "flavour": args.tensorrt,
        "plugins": plugins_of(args) if library is None and not is_trusted else {},
        "allow_host_code": args.allow_host_code,
        "verbose": args.verbose,
    }
    times = None
    if args.iterations is None:
        results = run_engine(args.plan, inputs, **how)
    else:
        warm_up, graph = args.warm_up or WARM_UP, args.cuda_graph
        timing = time_engine(
            args.plan, inputs, args.iterations, warm_up=warm_up, cuda_graph=graph, **how
        )
        results, times = timing.outputs, _times(timing, warm_up, graph)
    if args.output is not None:
        _save_arrays(args.output, results)
    if args.json:
        summaries = {name: _summary(array) for name, array in results.items()}
        print_json({"plan": args.plan, "output": args.output, "outputs": summaries, "times": times})
        return 0
    _print_outputs(results)
    if times is not None:
        _print_times(times)
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


def _times(timing: Timing, warm_up: int, cuda_graph: bool) -> dict[str, Any]:
    return {
        "iterations": len(timing.compute_ms),
        "warm_up": warm_up,
        "cuda_graph": cuda_graph,
        "runs_per_second": 1e3 / _mean(timing.compute_ms),
        "runs_per_second_with_copies": 1e3 / _mean(timing.total_ms),
        "milliseconds": {
            "compute": _statistics(timing.compute_ms),
            "copies to the GPU": _statistics(timing.to_gpu_ms),
            "copies from the GPU": _statistics(timing.from_gpu_ms),
            "all": _statistics(timing.total_ms),
        },
    }


def _mean(runs: Sequence[float]) -> float:
    return sum(runs) / len(runs)


def _statistics(runs: Sequence[float]) -> dict[str, Any]:
    import numpy as np

    p50, p90, p99 = map(float, np.percentile(runs, (50, 90, 99)))
    ends = {"mean": _mean(runs), "best": min(runs), "worst": max(runs)}
    return {"p50": p50, "p90": p90, "p99": p99, **ends, "runs": runs}


def _print_times(times: dict[str, Any]) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table

    columns = ("p50", "p90", "p99", "mean", "best", "worst")
    rows = [
        (part, *(f"{numbers[column]:.3f}" for column in columns))
        for part, numbers in times["milliseconds"].items()
    ]
    print_table("Times in ms", ("", *columns), rows)
    graph = " of a CUDA graph" if times["cuda_graph"] else ""
    print_line(
        f"{times['iterations']} runs{graph}, after {times['warm_up']} to warm up: "
        f"{times['runs_per_second']:.1f} in a second, "
        f"{times['runs_per_second_with_copies']:.1f} with the copies."
    )


def _print_outputs(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    from pluginkit.cli.terminal_output import print_table
    from pluginkit.engine.build.shape_ranges import text_from_shape

    rows = []
    for name, array in arrays.items():
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
