"""The options of ``pluginkit run`` that time a plan, and what else computes its model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.engine.plan.manifest import Manifest
    from pluginkit.engine.timing.timing import TimingOptions


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Add ``--iterations``, and what needs it."""
    group = parser.add_argument_group("times")
    group.add_argument(
        "--iterations",
        type=options.positive_int,
        metavar="N",
        help="run N times in each stream after a warm-up and print the times, those of copies to "
        "and from the GPU apart",
    )
    group.add_argument(
        "--warm-up",
        type=options.positive_int,
        metavar="N",
        help="run N times before --iterations (default: 3); the first sets up what the others use",
    )
    group.add_argument(
        "--streams",
        type=options.positive_int,
        metavar="N",
        help="run in N CUDA streams at once, each from its own thread (default: 1, or --contexts)",
    )
    group.add_argument(
        "--contexts",
        type=options.positive_int,
        metavar="N",
        help="create N execution contexts, which take turns in the streams (default: --streams)",
    )
    group.add_argument(
        "--cuda-graph",
        action="store_true",
        help="capture an enqueue as a CUDA graph, and let --iterations replay that",
    )
    group.add_argument(
        "--profile",
        choices=("layers",),
        help="run once more with TensorRT's profiler: the time of each layer and the plugins' "
        "share; and open NVTX ranges, for Nsight Systems, around every enqueue",
    )
    group.add_argument(
        "--against",
        nargs="+",
        choices=("onnxruntime", "torch"),
        default=[],
        help="time ONNX Runtime or PyTorch on the same inputs, and compare the outputs",
    )
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="the ONNX model for --against onnxruntime (default: the one that the plan was built "
        "from, in the plan's folder)",
    )
    group.add_argument(
        "--module",
        metavar="PROGRAM",
        help="the PyTorch program for --against torch: a file of torch.export.save, or "
        "package.module:name of a torch.nn.Module or of a function that returns one; it is "
        "executed",
    )
    group.add_argument(
        "--html", type=Path, metavar="FILE", help="write times, timeline and layers as a page"
    )


def timing_options_of(args: argparse.Namespace) -> TimingOptions | None:
    """Return how to time the plan, None for one run without times."""
    from pluginkit.engine import TimingOptions
    from pluginkit.engine.timing.timing import WARM_UP

    given = {
        "--warm-up": args.warm_up,
        "--streams": args.streams,
        "--contexts": args.contexts,
        "--cuda-graph": args.cuda_graph,
        "--profile": args.profile,
        "--against": args.against,
        "--model": args.model,
        "--module": args.module,
        "--html": args.html,
    }
    if args.iterations is None:
        if timed := [name for name, value in given.items() if value]:
            raise UsageError(
                "PK542", f"{', '.join(timed)} is for timed runs.", fix="add --iterations 100."
            )
        return None
    for name, peer in (("model", "onnxruntime"), ("module", "torch")):
        if getattr(args, name) is not None and peer not in args.against:
            raise UsageError(
                "PK542", f"--{name} says what {peer} runs.", fix=f"add --against {peer}."
            )
    if "torch" in args.against and args.module is None:
        raise UsageError(
            "PK542",
            "--against torch does not say what PyTorch runs.",
            fix="add --module with a file of torch.export.save, or package.module:name of a "
            "torch.nn.Module.",
        )
    return TimingOptions(
        args.iterations,
        warm_up=args.warm_up or WARM_UP,
        streams=args.streams or args.contexts or 1,
        contexts=args.contexts,
        cuda_graph=args.cuda_graph,
        layers=args.profile == "layers",
    )


def model_of(args: argparse.Namespace, manifest: Manifest | None) -> Path | None:
    """Return the model that ONNX Runtime runs, None where it runs none."""
    if "onnxruntime" not in args.against:
        return None
    if args.model is not None:
        return Path(args.model)
    name = manifest.model if manifest is not None else ""
    beside: Path = args.plan.parent / name
    if not beside.is_file() or beside.suffix == ".py":
        raise UsageError(
            "PK542",
            "--against onnxruntime does not find the model that the plan was built from"
            + (f", {name}." if name else "."),
            fix="name it with --model.",
        )
    return beside
