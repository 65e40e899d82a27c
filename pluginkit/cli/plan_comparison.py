"""Compare a model with its plan, for ``pluginkit compare``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.contract.plugin import Plugins
    from pluginkit.engine.plan.manifest import Manifest
    from pluginkit.engine.proof.compared_original import ComparedOriginal
    from pluginkit.onnx.running.output_error import Tolerance
    from pluginkit.onnx.running.random_inputs import InputShapes

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

_PLANS = (".plan", ".engine", ".trt")


def is_plan(path: Path) -> bool:
    """Whether a file is a plan: by its name, or because it has a manifest."""
    from pluginkit.engine.plan.manifest import manifest_path

    return path.suffix in _PLANS or (path.suffix != ".onnx" and manifest_path(path).exists())


def compare_with_plan(
    args: argparse.Namespace,
    inputs: Arrays | None,
    expected: Arrays | None,
    ranges: Mapping[str, tuple[float, float]],
    shapes: Sequence[InputShapes],
    rtol: Tolerance,
    atol: Tolerance,
) -> int:
    """Compare, and return the exit code."""
    from pluginkit.cli.comparison_report import print_comparison, write_report
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.engine.plan.manifest import read_manifest
    from pluginkit.engine.proof.compare_plan import compare_plan, run_original
    from pluginkit.engine.proof.compared_original import compared_original
    from pluginkit.engine.proof.tool_commands import write_commands
    from pluginkit.onnx.running.compare_models import split_given
    from pluginkit.onnx.running.output_error import check_tolerance

    _refuse_options_for_models(args)
    check_tolerance("rtol", rtol)
    check_tolerance("atol", atol)
    manifest, plugins = read_manifest(args.rewritten), plugins_of(args)
    if args.commands is None:  # what does not fit here is said before the model runs
        _check_here(args, manifest, plugins)
    original = compared_original(args.original, plugins)
    original.check_names(
        [tensor.name for tensor in manifest.inputs], [tensor.name for tensor in manifest.outputs]
    )
    given, computed = split_given(original.model.graph, inputs or {}, expected or {})
    feeds = [given] if inputs is not None else _drawn(args, original, manifest, ranges, shapes)
    runs = run_original(original, manifest, feeds, None if expected is None else computed)
    if args.commands is not None:
        lines = write_commands(
            args.commands, args.original, args.rewritten, manifest, runs, rtol=rtol, atol=atol
        )
        _print_commands(args, lines)
        return 0
    comparison = compare_plan(
        original,
        args.rewritten,
        manifest,
        runs,
        rtol=rtol,
        atol=atol,
        flavour=args.tensorrt,
        plugins=plugins,
        allow_host_code=args.allow_host_code,
        verbose=args.verbose,
    )
    models = (args.original, args.rewritten)
    if args.report is not None:
        write_report(args.report, models, comparison)
    print_comparison(models, comparison, as_json=args.json)
    return 0 if comparison.ok else 1


def _refuse_options_for_models(args: argparse.Namespace) -> None:
    if args.taps or args.kernels or args.gpu:
        raise UsageError(
            "PK612",
            "--taps, --kernels and --gpu are for comparing two models.",
            fix="leave them out; build the plan with --mark to compare the values inside.",
        )


def _check_here(args: argparse.Namespace, manifest: Manifest, plugins: Plugins) -> None:
    """Refuse a plan that this machine cannot run."""
    from pluginkit.engine.plan.open_engine import check_here, known_plugins
    from pluginkit.trt.flavour import load_flavour

    check_here(
        args.rewritten,
        load_flavour(args.tensorrt or manifest.flavour),
        known_plugins(manifest, plugins),
        allow_host_code=args.allow_host_code,
        what="comparing",
    )


def _drawn(
    args: argparse.Namespace,
    original: ComparedOriginal,
    manifest: Manifest,
    ranges: Mapping[str, tuple[float, float]],
    shapes: Sequence[InputShapes],
) -> list[Arrays]:
    """Draw the inputs of every run; by default in the optimum of the plan's first profile."""
    import numpy as np

    from pluginkit.onnx.running.random_inputs import draw_inputs

    profile = manifest.profiles[0]
    optimum = {name: one.opt for name, one in profile.items() if not one.is_shape_tensor}
    values = {name: one.opt for name, one in profile.items() if one.is_shape_tensor}
    feeds: list[Arrays] = []
    for given in shapes:
        for _ in range(args.runs):
            drawn = draw_inputs(
                args.original,
                shapes={**optimum, **given},
                ranges=ranges,
                seed=args.seed + len(feeds),
                model=original.model,
                plugins=original.plugins,
            )
            for name in values.keys() - ranges.keys():
                drawn[name] = np.reshape(values[name], drawn[name].shape).astype(drawn[name].dtype)
            feeds.append(drawn)
    return feeds


def _print_commands(args: argparse.Namespace, lines: Sequence[str]) -> None:
    from pluginkit.cli.terminal_output import print_json, print_line

    if args.json:
        print_json({"folder": args.commands, "commands": list(lines)})
        return
    for line in lines:
        print_line(line)
    print_line(f"Wrote {args.commands}, with these lines in commands.sh. No plan was run.")
