"""Build an engine from a network that a script describes with TensorRT's API."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pluginkit.contract.plugin import Plugin
from pluginkit.current_work import BUILDING, DESCRIBING, working
from pluginkit.engine.build.build_options import BuildOptions, ResolvedOptions, resolve_options
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.built_engine import BuiltEngine, BuiltPlan, built_engine, manifest_of
from pluginkit.engine.build.fit_profiles import build_with_fitting_defaults
from pluginkit.engine.build.network_script import NetworkScript
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.build.serialize_network import serialize_network
from pluginkit.engine.parse.parse_model import ParsedNetwork
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.plan.manifest import manifest_path
from pluginkit.engine.plan.output_files import check_target, write_together
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.network_inputs import inputs_of
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.collected_calls import collected_calls
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.parsed_layers import ParsedLayers
from pluginkit.trt.plugin_layers import NetworkDescription, describing

_Nodes = Sequence[tuple[str, Plugin]]


def build_network(
    script_path: str | Path,
    plan_path: str | Path | None = None,
    *,
    shapes: Mapping[str, ShapeSpec] | None = None,
    options: BuildOptions = BuildOptions(),
    observer: BuildObserver | None = None,
    verbose: bool = False,
) -> BuiltPlan:
    """Let a script describe a network, build an engine, and save the plan with its manifest.

    The script is executed. Its ``load_network(builder, network)`` fills the network, and adds
    plugins with ``pluginkit.add_to_network``. With TensorRT-RTX it is called twice if it does.

    Args:
        script_path: the script.
        plan_path: where the plan goes; by default ``script.plan`` in the script's folder.
        shapes: the ranges of each dynamic input, as for ``build_engine``.
        options: how to build. The network has its types, so ``precision`` must be None,
            ``mark`` empty, and ``standalone`` False: libraries are made of models.
        observer: told of choices and progress.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK529, PK430: the script.  PK500 to PK506: shapes.  PK510 to PK514: the flavour cannot do
            this here.  PK525, PK526: files.  PK521: the build fails.  PK204: a plugin's callback
            failed.
    """
    started = time.perf_counter()
    observer = observer or BuildObserver()
    path = Path(script_path)
    target = Path(plan_path) if plan_path is not None else path.with_suffix(".plan")
    if options.precision is not None or options.mark or options.standalone:
        raise UsageError(
            "PK513",
            "precision, mark and standalone change a model, and a script describes a network; "
            "expected none of them.",
            fix="cast in the script, with network.add_cast, or build a model.",
        )
    flavour = load_flavour(options.flavour)
    resolved = resolve_options(options, flavour, [], observer)
    script = NetworkScript(path)
    check_target(path, target, "script")
    with collected_calls() as calls:
        engine, nodes = _build(flavour, script, shapes or {}, resolved, observer, verbose)
    manifest = manifest_of(engine, flavour, resolved, path, nodes, calls)
    text = manifest.to_json().encode()
    write_together({target: engine.plan, manifest_path(target): text})
    return BuiltPlan(target, manifest, engine.profiles, time.perf_counter() - started)


def _build(
    flavour: Flavour,
    script: NetworkScript,
    shapes: Mapping[str, ShapeSpec],
    resolved: ResolvedOptions,
    observer: BuildObserver,
    verbose: bool,
) -> tuple[BuiltEngine, _Nodes]:
    from pluginkit.trt.callbacks import callback_errors

    bind_polygraphy(flavour)
    with callback_errors(), captured_log(verbose=verbose) as errors:
        with working(str(flavour), DESCRIBING, script.path):
            described, nodes = _described(flavour, script, resolved, errors)
        has_aliases = any(plugin.spec.has_aliases for _, plugin in nodes)
        resolved = replace(resolved, has_aliased_io=has_aliases)

        def build(profiles: Sequence[OptimizationProfile]) -> bytes:
            errors.clear()
            with working(str(flavour), BUILDING, script.path):
                return serialize_network(described, profiles, resolved, observer, errors)

        inputs = inputs_of(described.network)
        plan, profiles = build_with_fitting_defaults(inputs, shapes, build)
        return built_engine(plan, profiles, described.network, None), nodes


def _described(
    flavour: Flavour, script: NetworkScript, resolved: ResolvedOptions, errors: list[str]
) -> tuple[ParsedNetwork, _Nodes]:
    """Return the network, and the name and plugin of each plugin layer."""
    description = NetworkDescription(resolved.options.interface)
    described = _empty_network(flavour, resolved)
    with describing(description):
        script.describe(described.builder, described.network, errors)
    if description.noted:
        described = _empty_network(flavour, resolved)
        parsed = ParsedLayers(flavour, described.network, described.parser, description.noted)
        description = NetworkDescription(resolved.options.interface, parsed)
        with describing(description):
            script.describe(described.builder, described.network, errors)
        parsed.check_all_taken()
    return described, description.nodes


def _empty_network(flavour: Flavour, resolved: ResolvedOptions) -> ParsedNetwork:
    from polygraphy.backend.trt import create_network
    from polygraphy.backend.trt.util import get_trt_logger

    builder, network = create_network(strongly_typed=resolved.is_typed)
    return ParsedNetwork(
        flavour, builder, network, flavour.module.OnnxParser(network, get_trt_logger())
    )
