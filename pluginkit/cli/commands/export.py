"""Write a model's plugins, or whole plugins, as C++ libraries that need no Python.

Of a MODEL.onnx: libraries for its nodes, types, attributes and optimization profiles, and the
rewritten model. Of PLUGINs: for each of their cases' attributes, inputs and ranks, in every
combination of types, of all sizes; --types, --attribute and --shapes say otherwise. The library
refuses nodes of other kinds, in words.

Needs g++, and neither a GPU, nvcc nor TensorRT. Before anything is written, the generated C++ and
the Python classes are asked for their launches on hundreds of shapes and must agree byte for byte.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.errors import UsageError
from pluginkit.quantities import bytes_text, counted

if TYPE_CHECKING:
    from pluginkit.engine.deploy.export_folder import Deployment
    from pluginkit.export.export_library import ExportOptions
    from pluginkit.export.progress import Report
    from pluginkit.trt.target import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "what", nargs="+", metavar="MODEL.onnx | PLUGIN", help="one model, or plugins by name"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the files go"
    )
    parser.add_argument(
        "--tensorrt",
        metavar="VERSION",
        help="the TensorRT that will load them: 8.6, 10.x, 11.x or rtx (default: the one that is "
        "installed, else rtx)",
    )
    options.add_compute_capability(parser)
    parser.add_argument(
        "--arch",
        choices=("x86_64", "aarch64"),
        help="the processor (default: this machine's); another one's needs its cross compiler",
    )
    parser.add_argument(
        "--interface",
        choices=("auto", "v2", "v3"),
        default="auto",
        help="IPluginV2DynamicExt, IPluginV3 or what that TensorRT takes (default)",
    )
    parser.add_argument(
        "--source", action="store_true", help="write the C++ and a CMakeLists.txt too"
    )
    parser.add_argument(
        "--triton",
        type=Path,
        metavar="FOLDER",
        help="write a model repository of Triton Inference Server too (models only)",
    )
    parser.add_argument(
        "--tensorrt-include",
        type=Path,
        metavar="DIR",
        help="compare pluginkit's own header of TensorRT's plugin interface with the SDK's in this "
        "folder first",
    )
    parser.add_argument(
        "--types",
        default="",
        metavar="TYPE,...",
        help="of plugins, only these types, as in float32,float16",
    )
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of plugins, this value in the place of the cases'; repeat it for several",
    )
    options.add_shapes(parser)
    options.add_choice(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Export a model or plugins."""
    from pluginkit.cli.progress_bars import shown_phases
    from pluginkit.cli.terminal_output import print_json, print_line

    models = [text for text in args.what if text.endswith(".onnx")]
    _check_together(args, models)
    if args.tensorrt_include is not None:
        _check_headers(args)
    with shown_phases() as report:
        deployment = _export_model(args, report) if models else _export_plugins(args, report)
    if args.json:
        print_json(dataclasses.asdict(deployment))
    else:
        _print_deployment(deployment)
    if deployment.missing:
        print_line(
            f"Of {' and '.join(deployment.missing)}, no call that launches a kernel is in the "
            "library.",
            stderr=True,
        )
        return 1
    return 0


def _check_headers(args: argparse.Namespace) -> None:
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.export.compile.check_layout import check_layout
    from pluginkit.export.compile.library_builder import tensorrt_major

    compared = check_layout(args.tensorrt_include, tensorrt_major(_tensorrt(args)))
    print_line(f"Headers of {args.tensorrt_include}: {compared}", stderr=True)


def _check_together(args: argparse.Namespace, models: list[str]) -> None:
    """Refuse options that say nothing of what is exported."""
    if models and len(args.what) > 1:
        raise UsageError(
            "PK814",
            f"got {len(args.what)} things to export; expected one model, or plugins.",
            fix="export each model to a folder of its own.",
        )
    given = {
        "--types": models and args.types,
        "--attribute": models and args.attribute,
        "--triton": not models and args.triton,
    }
    for option, is_wrong in given.items():
        if is_wrong:
            what = "a model, whose nodes say that" if models else "plugins; a model has that"
            raise UsageError("PK814", f"{option} says nothing of {what}.", fix=f"omit {option}.")


def _export_model(args: argparse.Namespace, report: Report) -> Deployment:
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.engine.deploy.deployed_model import deployed_model
    from pluginkit.engine.deploy.export_folder import export_model_folder
    from pluginkit.engine.deploy.triton_plan import triton_plan
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    chosen, target = _options(args), _target(args)
    plugins, rewrites = plugins_of(args), rewrites_of(args)
    shapes, model = parse_shapes(args.shapes), Path(args.what[0])
    deployed = deployed_model(
        model,
        shapes,
        _rewriting_target(target),
        plugins=plugins,
        rewrites=rewrites,
        choice=choice_of(args),
    )
    plan = None
    if args.triton is not None:
        plan = triton_plan(
            model, shapes, target, plugins=plugins, rewrites=rewrites, choice=choice_of(args)
        )
    return export_model_folder(
        deployed, args.output, chosen, triton=args.triton, plan=plan, report=report
    )


def _export_plugins(args: argparse.Namespace, report: Report) -> Deployment:
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.contract.plugin_names import plugin_named
    from pluginkit.engine.deploy.export_folder import export_plugin_folder
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    found = plugins_of(args)
    classes = list(dict.fromkeys(plugin_named(name, found) for name in args.what))
    types = [name for name in args.types.split(",") if name]
    return export_plugin_folder(
        classes,
        args.output,
        _options(args),
        types=types,
        attributes=_attributes(args.attribute),
        shapes=parse_shapes(args.shapes),
        report=report,
    )


def _options(args: argparse.Namespace) -> ExportOptions:
    from pluginkit.engine.build.compute_capabilities import export_capabilities
    from pluginkit.export.export_library import ExportOptions

    capabilities = options.compute_capabilities(args)
    return ExportOptions(
        tensorrt=_tensorrt(args),
        compute_capabilities=export_capabilities(capabilities, args.arch),
        interface=args.interface,
        arch=args.arch,
        with_source=args.source,
    )


def _tensorrt(args: argparse.Namespace) -> str:
    """The version as libraries name it."""
    if args.tensorrt is not None:
        return str(args.tensorrt)
    from pluginkit.trt.target import installed_target

    installed = installed_target()
    if installed is None or installed.flavour == "tensorrt_rtx":
        return "rtx"
    return ".".join(map(str, installed.version[:2]))


def _target(args: argparse.Namespace) -> Target:
    from pluginkit.export.compile.library_builder import tensorrt_major
    from pluginkit.trt.flavour import numbers
    from pluginkit.trt.target import Target

    version = _tensorrt(args)
    tensorrt_major(version)
    return Target("tensorrt_rtx") if version == "rtx" else Target("tensorrt", numbers(version))


def _rewriting_target(target: Target) -> Target:
    """Return what the model is rewritten for, and say so where that is a later TensorRT."""
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.trt.target import rewriting_target

    chosen = rewriting_target(target)
    if chosen != target:
        print_line(
            f"The plugins are for {target}; the model is rewritten for the parser of {chosen}, and "
            "an older one may refuse operators in it.",
            stderr=True,
        )
    return chosen


def _attributes(texts: list[str]) -> dict[str, list[Any]]:
    """``["k=3", "k=4"]`` as ``{"k": [3, 4]}``; a value that is no Python literal is a text."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError("PK814", f"--attribute '{text}'; expected NAME=VALUE, as in axis=1.")
        try:
            found.setdefault(name, []).append(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            found.setdefault(name, []).append(value)
    return found


def _print_deployment(deployment: Deployment) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table

    rows = [(path, bytes_text(size)) for path, size in deployment.files.items()]
    shown = [row for row in rows if not row[0].startswith("source/")]
    print_table(f"Wrote {deployment.folder}", ("file", "size"), shown)
    if len(shown) < len(rows):
        print_line(f"and {len(rows) - len(shown)} files of source/, which cmake builds.")
    record, proof = deployment.record, deployment.proof
    print_line(
        f"{', '.join(deployment.plugins)} for TensorRT {record.tensorrt}, {record.arch}: "
        f"{counted(len(record.variants), 'variant')}, {counted(record.kernels, 'kernel')} of "
        f"{bytes_text(record.kernel_bytes)}, in {deployment.seconds:.1f} s."
    )
    print_line(
        f"The C++ agrees with the Python classes on {counted(proof.calls, 'call')}, "
        f"{proof.refusals} of them refused by both, {counted(proof.steps, 'step')}. "
        "No engine was executed."
    )
    shapes = ", ".join(f"{count} of {name}" for name, count in proof.shapes.items())
    paths = f"they took {proof.taken} of {counted(proof.paths, 'path')} through launches"
    print_line(f"Different shapes among them: {shapes}; {paths}.")
    for reason in deployment.left_out:
        for line in f"Left out: {reason}".split("\n"):
            print_line(line)
    print_line(f"Needs {record.needs}.")
    for line in deployment.triton:
        print_line(line)
