"""Write plugins as a shared library that needs no Python.

    pluginkit export model.onnx -o deploy/        the plugins of a model, for its nodes and profiles
    pluginkit export ScatterElements -o deploy/   a plugin as a whole, for what its cases cover

The library is made from the plugins' classes: their launches are traced into C++17, their kernels
are compiled for each GPU, and the result is compared with the classes for thousands of shapes
before it is written. It needs g++, and neither a GPU, nvcc nor a TensorRT SDK.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.export.export_library import ExportOptions, ExportResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "subject", nargs="+", metavar="MODEL|PLUGIN", help="an ONNX model, or names of plugins"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the files go"
    )
    parser.add_argument(
        "--tensorrt",
        default="rtx",
        metavar="VERSION",
        help="the TensorRT that loads the library: 8.6, 10.3, 11.1 and the like, or rtx (default)",
    )
    parser.add_argument(
        "--compute-capability",
        action="append",
        default=[],
        metavar="CC",
        help="a GPU to compile for, as in 8.9; repeat it or join with commas; later GPUs than the "
        "last compile its PTX (default: this machine's GPU, else 8.6, 8.9 and 12.0)",
    )
    parser.add_argument(
        "--types",
        default="",
        metavar="TYPES",
        help="of plugins exported as a whole: float32,float16 and no others",
    )
    parser.add_argument(
        "--interface",
        choices=("auto", "v2", "v3"),
        default="auto",
        help="IPluginV2DynamicExt, IPluginV3 or what fits the TensorRT (default)",
    )
    parser.add_argument(
        "--arch",
        choices=("x86_64", "aarch64"),
        help="the processor (default: this machine's); another one needs its cross compiler",
    )
    parser.add_argument(
        "--source", action="store_true", help="write the C++ too, with a CMakeLists.txt"
    )
    options.add_shapes(parser)
    options.add_choice(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Export a model's plugins, or plugins as a whole."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine.export.export_model import export_model
    from pluginkit.engine.export.export_plugins import export_plugins

    chosen = _options(args)
    if _is_model(args.subject):
        from pluginkit.engine.build.shape_ranges import parse_shapes

        result = export_model(
            args.subject[0],
            args.output,
            chosen,
            shapes=parse_shapes(args.shapes),
            plugins=plugins_of(args),
            rewrites=rewrites_of(args),
            choice=choice_of(args),
        )
    else:
        from pluginkit.contract.dtypes import dtype_from_name
        from pluginkit.discovery import plugin_named

        found = plugins_of(args)
        classes = [plugin_named(name, found) for name in args.subject]
        types = [dtype_from_name(name) for name in filter(None, args.types.split(","))]
        result = export_plugins(classes, args.output, chosen, types=types)
    if args.json:
        print_json(_document(result))
    else:
        _print_result(result)
    return 0


def _is_model(subjects: Sequence[str]) -> bool:
    """Whether a model is meant; it stands alone."""
    are_models = [subject.endswith(".onnx") for subject in subjects]
    if any(are_models) and len(subjects) > 1:
        raise UsageError(
            "PK809", f"got {', '.join(subjects)}; expected one model, or names of plugins."
        )
    return are_models[0]


def _options(args: argparse.Namespace) -> ExportOptions:
    from pluginkit.device.gpus import find_gpu
    from pluginkit.engine.build.compute_capabilities import DEFAULT_CAPABILITIES, parse_capability
    from pluginkit.export.export_library import ExportOptions

    texts = [text for given in args.compute_capability for text in given.split(",")]
    gpu = find_gpu()
    here = (gpu.compute_capability,) if gpu else DEFAULT_CAPABILITIES
    capabilities = sorted({parse_capability(text) for text in texts} or here)
    return ExportOptions(
        tensorrt=args.tensorrt,
        compute_capabilities=[f"{major}{minor}" for major, minor in capabilities],
        interface=args.interface,
        arch=args.arch,
        with_source=args.source,
    )


def _document(result: ExportResult) -> dict[str, object]:
    return {
        "library": result.library,
        "static_library": result.static_library,
        "variants": list(map(str, result.variants)),
        "left_out": [{"variant": str(one), "why": str(why)} for one, why in result.left_out],
        "kernels": result.kernels,
        "kernel_bytes": result.kernel_bytes,
        "compared_calls": result.proof.calls,
        "compared_steps": result.proof.steps,
        "compiler": result.compiler,
        "sha256": result.sha256,
        "seconds": round(result.seconds, 3),
    }


def _print_result(result: ExportResult) -> None:
    from pluginkit.cli.terminal_output import print_line

    for variant in result.variants:
        print_line(str(variant))
    for variant, error in result.left_out:
        print_line(f"left out: {variant}: {error.message}")
    proof = result.proof
    print_line(
        f"Compared {proof.calls} calls with {proof.steps} launches, copies and fills: all as in "
        f"Python, {proof.refusals} of them refusals."
    )
    for path in filter(None, (result.library, result.static_library)):
        print_line(
            f"Wrote {path} ({path.stat().st_size / 2**10:.0f} KiB, {result.kernels} kernels of "
            f"{result.kernel_bytes / 2**10:.0f} KiB) in {result.seconds:.1f} s."
        )
