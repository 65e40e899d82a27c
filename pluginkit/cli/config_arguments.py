"""The options of a build that go to TensorRT's builder as they are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pluginkit.engine.build.config_options import ConfigOptions


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the options; what a flavour lacks is refused, with the reason."""
    group = parser.add_argument_group("TensorRT's builder")
    group.add_argument(
        "--refit", action="store_true", help="let the engine's weights be replaced later"
    )
    group.add_argument(
        "--strip-weights",
        action="store_true",
        help="leave weights out of the plan that a refit brings back",
    )
    group.add_argument(
        "--hardware-compatibility",
        metavar="LEVEL",
        help="ampere_plus or same_compute_capability: GPUs besides this one (tensorrt only)",
    )
    group.add_argument(
        "--optimization-level",
        type=int,
        choices=range(6),
        help="0 builds fastest, 5 runs fastest (tensorrt only)",
    )
    group.add_argument(
        "--tactic-sources",
        metavar="SOURCE,...",
        help="the libraries that tactics may come from, as cudnn,cublas (tensorrt only)",
    )
    group.add_argument(
        "--weight-streaming",
        action="store_true",
        help="let weights stay in host memory, as far as the runtime wants",
    )
    group.add_argument(
        "--dla",
        type=int,
        metavar="CORE",
        help="the DLA that runs what it can; the GPU runs the rest (tensorrt only)",
    )
    group.add_argument(
        "--profiling-verbosity",
        metavar="LEVEL",
        help="none, layer_names_only or detailed: what the plan tells of its layers",
    )
    group.add_argument(
        "--exclude-lean-runtime",
        action="store_true",
        help="leave the lean runtime out of a version-compatible plan (tensorrt only)",
    )
    group.add_argument(
        "--editable-timing-cache",
        action="store_true",
        help="key the timing cache by what a program can ask and change (tensorrt only)",
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="SCRIPT",
        help="a Python file with postprocess_config(builder, network, config) for all else; it is "
        "executed",
    )


def config_of_args(args: argparse.Namespace) -> ConfigOptions:
    """Return what the options ask for."""
    from pluginkit.engine.build.config_options import ConfigOptions

    sources = args.tactic_sources
    return ConfigOptions(
        refit=args.refit,
        strip_weights=args.strip_weights,
        hardware_compatibility=args.hardware_compatibility,
        optimization_level=args.optimization_level,
        tactic_sources=None if sources is None else [each for each in sources.split(",") if each],
        weight_streaming=args.weight_streaming,
        dla_core=args.dla,
        profiling_verbosity=args.profiling_verbosity,
        exclude_lean_runtime=args.exclude_lean_runtime,
        editable_timing_cache=args.editable_timing_cache,
        script=args.config,
    )
