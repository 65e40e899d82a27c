"""Say what is in a plan, and whether what it needs is here, from the manifest NAME.plan.json.

--tensorrt asks about another TensorRT than the one that built the plan. Nothing of the plan is
executed, but with --layers: that loads it on this machine's GPU, as run does, and asks TensorRT's
engine inspector. Build with --profiling-verbosity detailed for more than the layers' names.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.quantities import bytes_text, counted

if TYPE_CHECKING:
    from pluginkit.engine.plan.manifest import Manifest
    from pluginkit.engine.plan.plan_contents import MachineHere, PluginHere


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("plan", type=Path, help="the plan")
    parser.add_argument(
        "--layers", action="store_true", help="load the plan on the GPU and list its layers"
    )
    options.add_allow_host_code(parser)
    options.add_flavour(parser)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Inspect a plan."""
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine.plan.check_manifest import check_manifest
    from pluginkit.engine.plan.plan_contents import (
        engine_layers,
        machine_here,
        plugins_here,
    )

    manifest = check_manifest(args.plan, allow_host_code=args.allow_host_code)
    needs_python = manifest.plugins and manifest.library is None
    found = plugins_of(args) if needs_python else {}
    here, machine = plugins_here(manifest, found), machine_here(manifest, args.tensorrt)
    layers = None
    if args.layers:
        layers = engine_layers(
            args.plan,
            flavour=args.tensorrt,
            plugins=found,
            allow_host_code=args.allow_host_code,
            verbose=args.verbose,
        )
    if args.json:
        print_json(_document(args.plan, manifest, here, machine, layers))
    else:
        _print_manifest(args.plan, manifest, machine)
        _print_plugins(manifest, here)
        _print_layers(layers)
    return 0


def _document(
    plan: Path,
    manifest: Manifest,
    here: Sequence[PluginHere],
    machine: Sequence[MachineHere],
    layers: Sequence[dict[str, Any]] | None,
) -> dict[str, Any]:
    document = {"plan": plan, **dataclasses.asdict(manifest), "layers": layers}
    document["here"] = {one.what: {"fits": one.fits, "text": one.text} for one in machine}
    for plugin, one in zip(document["plugins"], here, strict=True):
        plugin["here"] = {"state": one.state, "text": one.text, "file": one.file}
    if manifest.library is not None:
        document["library"]["needs"] = manifest.library.needs
    return document


def _print_manifest(plan: Path, manifest: Manifest, machine: Sequence[MachineHere]) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table
    from pluginkit.onnx.inference.shape_ranges import text_from_shape

    later = " and later versions" if manifest.is_version_compatible else ""
    print_line(
        f"{plan}: {bytes_text(manifest.plan_bytes)}, built from {manifest.model} with pluginkit "
        f"{manifest.pluginkit}"
    )
    print_line(
        f"Needs {manifest.flavour} {manifest.tensorrt}{later}, and a GPU of compute capability "
        f"{' or '.join(manifest.compute_capabilities)}."
    )
    for one in machine:
        print_line(f"  {one.what} here: {one.text}")
    tensors = [
        (one.name, kind, one.dtype, text_from_shape([None if d < 0 else d for d in one.shape]))
        for kind, ones in (("input", manifest.inputs), ("output", manifest.outputs))
        for one in ones
    ]
    print_table("Inputs and outputs", ("tensor", "", "dtype", "shape"), tensors)
    ranges = [
        (
            str(number),
            name + (" (values)" if one.is_shape_tensor else ""),
            *map(text_from_shape, (one.min, one.opt, one.max)),
        )
        for number, profile in enumerate(manifest.profiles)
        for name, one in profile.items()
    ]
    if ranges:
        print_table("Optimization profiles", ("profile", "input", "min", "opt", "max"), ranges)


def _print_plugins(manifest: Manifest, here: Sequence[PluginHere]) -> None:
    from pluginkit.cli.terminal_output import print_line

    if not here:
        print_line("No plugins.")
    for one in here:
        record = one.record
        print_line(
            f"Plugin {record.name}, version {record.version}, namespace '{record.namespace}', "
            f"interface {record.interface}, {counted(len(record.nodes), 'node')}"
        )
        source = f", source {record.source_sha256}" if record.source_sha256 else ""
        print_line(f"  built from {record.class_path}{source}")
        print_line(f"  loads here: {one.text}")
    library = manifest.library
    if library is not None:
        print_line(
            f"Library of the plugins: {bytes_text(library.bytes)} for {library.arch}, "
            f"{counted(library.kernels, 'kernel')}, SHA-256 {library.sha256}"
        )
        print_line(f"  needs {library.needs}")


def _print_layers(layers: Sequence[dict[str, Any]] | None) -> None:
    from pluginkit.cli.terminal_output import print_table

    if layers is not None:
        keys = ("Name", "LayerType", "TacticName")
        rows = [[str(layer.get(key, "")) for key in keys] for layer in layers]
        print_table("Layers", ("layer", "type", "tactic"), rows)
