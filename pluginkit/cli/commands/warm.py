"""Compile the kernels of a plan's plugins ahead, into the cache that its runs read.

It needs no GPU: a container's build can do it. Without --compute-capability the kernels are for
this machine's GPU, or else for all GPUs that the plan was built for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pluginkit.cli import options
from pluginkit.quantities import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("plan", type=Path, help="the plan")
    options.add_compute_capability(
        parser,
        what="a GPU to compile for, as in 8.9",
        default="this machine's GPU, else those that the plan was built for",
    )
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Warm the kernel cache for a plan."""
    import dataclasses

    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.device.gpus import find_gpu
    from pluginkit.engine.plan.warm_plan import warm_plan

    capabilities = options.compute_capabilities(args)
    gpu = None if capabilities else find_gpu()
    if gpu is not None:
        capabilities = [gpu.compute_capability]
    warmed = warm_plan(args.plan, capabilities, plugins=plugins_of(args))
    if args.json:
        print_json({"plan": args.plan, **dataclasses.asdict(warmed)})
    elif warmed.holds_kernels:
        print_line(f"{args.plan} holds its {counted(warmed.kernels, 'kernel')}: nothing to do.")
    else:
        print_line(
            f"{counted(warmed.kernels, 'kernel')} of {args.plan} for compute capability "
            f"{' and '.join(warmed.capabilities)}: in {warmed.folder} after {warmed.seconds:.1f} s."
        )
    return 0
