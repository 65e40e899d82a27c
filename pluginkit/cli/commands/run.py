"""Run a plan on this machine's GPU, after its manifest was checked.

The manifest NAME.plan.json must be in the plan's folder, but with --allow-host-code: then the
inputs are those that the engine names. What does not fit (plan, TensorRT, GPU,
plugins, inputs) is reported before TensorRT sees the plan.

--iterations times the plan: percentiles of computing and of the copies to and from the GPU, and
runs in a second. --against times the same inputs in ONNX Runtime and PyTorch as well; --html draws
the runs of each stream, and the layers, as one page.

A plan that was built with --standalone holds a library, which is code: loading the plan executes
it. That is done without asking only where the plan is, by its hash, the one that its manifest
describes. Neither proves who built it: run plans of people whom you would let run a program.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.cli.timing_arguments import add_timing, model_of, timing_options_of
from pluginkit.errors import UsageError
from pluginkit.quantities import bytes_text

if TYPE_CHECKING:
    from pluginkit.engine.plan.manifest import Manifest
    from pluginkit.engine.timing.peers import PeerTiming
    from pluginkit.engine.timing.timing import Timing, TimingOptions


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
    add_timing(parser)
    options.add_allow_host_code(parser, ", or where there is none")
    options.add_flavour(parser)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run a plan."""
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.run_report import output_rows, print_outputs, print_times, times_document
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine import run_engine, time_engine
    from pluginkit.engine.plan.output_files import check_writable

    how = timing_options_of(args)
    manifest = _trusted_manifest(args)
    outputs = {tensor.name for tensor in manifest.outputs} if manifest is not None else set()
    model = model_of(args, manifest)
    arrays = options.load_arrays(args.inputs)
    inputs = {name: array for name, array in arrays.items() if name not in outputs}
    for written in filter(None, (args.output, args.html)):
        check_writable(written)
    needs_python = manifest is not None and manifest.library is None
    opened: dict[str, Any] = {
        "flavour": args.tensorrt,
        "plugins": plugins_of(args) if needs_python else {},
        "allow_host_code": args.allow_host_code,
        "verbose": args.verbose,
    }
    times = None
    if how is None:
        results = run_engine(args.plan, inputs, **opened)
    else:
        timing = time_engine(args.plan, inputs, how, **opened)
        results = timing.outputs
        times = times_document(timing, how, _peers(args, manifest, model, inputs, timing, how))
        if args.html is not None:
            _write_page(args, manifest, times, timing)
    if args.output is not None:
        _save_arrays(args.output, results)
    rows = output_rows(results)
    if args.json:
        print_json({"plan": args.plan, "output": args.output, "outputs": rows, "times": times})
        return 0
    print_outputs(rows)
    if times is not None:
        print_times(times)
    return 0


def _trusted_manifest(args: argparse.Namespace) -> Manifest | None:
    """Return the manifest, None for a plan that the user trusts without; say what is executed."""
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.engine.plan.manifest import is_alone, read_manifest

    if args.allow_host_code and is_alone(args.plan):
        print_line(
            f"{args.plan} has no manifest: loading it executes the code that it may hold.",
            stderr=True,
        )
        return None
    manifest = read_manifest(args.plan)  # a missing one is said first of all
    if manifest.library is not None:
        print_line(
            f"{args.plan} holds a library of its plugins ({bytes_text(manifest.library.bytes)}): "
            "loading it executes that code.",
            stderr=True,
        )
    return manifest


def _peers(
    args: argparse.Namespace,
    manifest: Manifest | None,
    model: Path | None,
    inputs: options.Arrays,
    timing: Timing,
    how: TimingOptions,
) -> list[PeerTiming]:
    """Time what else computes the model."""
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.engine.plan.output_files import sha256_of
    from pluginkit.engine.timing.peers import time_onnxruntime, time_torch

    peers = []
    if model is not None:
        peers.append(time_onnxruntime(model, inputs, how))
        if manifest is not None and sha256_of(model) != manifest.model_sha256:
            print_line(f"{model} is another model than the plan was built from.", stderr=True)
    if "torch" in args.against:
        named = manifest.inputs if manifest is not None else ()
        ordered = {tensor.name: inputs[tensor.name] for tensor in named} or inputs
        peers.append(time_torch(args.module, ordered, list(timing.outputs), how))
    return peers


def _write_page(
    args: argparse.Namespace, manifest: Manifest | None, times: dict[str, Any], timing: Timing
) -> None:
    from pluginkit.cli.run_report import run_page
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.device.gpus import find_gpu
    from pluginkit.engine.plan.output_files import write_atomically

    facts = {}
    if manifest is not None:
        facts["Built from"] = f"{manifest.model}, with pluginkit {manifest.pluginkit}"
        facts["TensorRT"] = f"{manifest.flavour} {manifest.tensorrt}"
    gpu = find_gpu()
    if gpu is not None:
        facts["GPU"] = gpu.name
    write_atomically(args.html, run_page(args.plan, facts, times, timing).encode())
    print_line(f"Wrote {args.html}.", stderr=True)


def _save_arrays(path: Path, arrays: Any) -> None:
    import io

    import numpy as np

    from pluginkit.engine.plan.output_files import write_atomically

    if "file" in arrays:  # the name of one of savez's own parameters
        raise UsageError("PK610", "an output is called 'file', which .npz files cannot hold.")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getbuffer())
