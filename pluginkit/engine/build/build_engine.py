"""Build an engine from a model: rewrite, register, parse, build, save the plan and its manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.current_work import BUILDING, working
from pluginkit.engine.build.build_options import BuildOptions, ResolvedOptions, resolve_options
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.built_engine import BuiltEngine, BuiltPlan, built_engine, manifest_of
from pluginkit.engine.build.explain_failure import explain_failure, explain_refusals
from pluginkit.engine.build.fit_profiles import build_with_fitting_defaults
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.mark_values import mark_values
from pluginkit.engine.build.model_plugins import check_known
from pluginkit.engine.build.profile_checks import ProfileChecks
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.build.rewritten_source import rewritten_source
from pluginkit.engine.build.serialize_network import serialize_network
from pluginkit.engine.parse.parse_model import parse_model
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.plan.manifest import manifest_path
from pluginkit.engine.plan.output_files import check_target, write_together
from pluginkit.errors import BuildError, ParseError, PluginkitError, UsageError
from pluginkit.onnx.inference.network_inputs import inputs_of
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.model.graphs import describe
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.trt.collected_calls import collected_calls
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.target import installed_target

if TYPE_CHECKING:
    from pluginkit.onnx.precision.precision_options import PrecisionReport
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.trt.callbacks import CallbackFailure


@dataclass(frozen=True, kw_only=True)
class BuildResult(BuiltPlan):
    """A finished build of a model.

    Attributes:
        rewrite: what the rewrites did to the model.
        precision: what was converted to another type, None without such an option.
    """

    rewrite: RewriteResult
    precision: PrecisionReport | None


@dataclass(frozen=True)
class _Source:
    """A rewritten model."""

    path: Path
    rewrite: RewriteResult
    precision: PrecisionReport | None

    @cached_property
    def nodes(self) -> list[tuple[str, Plugin]]:
        """The path and the plugin of each plugin node."""
        return [
            (f"{scope} / {describe(node)}", plugin)
            for scope, node, plugin in plugin_nodes(self.rewrite.model, self.rewrite.plugins)
        ]

    @property
    def plugins(self) -> list[type[Plugin]]:
        """The plugin classes that the model needs."""
        return list(dict.fromkeys(type(plugin) for _, plugin in self.nodes))


def default_plan_path(model_path: Path) -> Path:
    """Return ``model.plan`` in the folder of ``model.onnx``."""
    return model_path.with_name(model_path.name.removesuffix(".onnx") + ".plan")


def build_engine(
    model_path: str | Path,
    plan_path: str | Path | None = None,
    *,
    shapes: Mapping[str, ShapeSpec] | None = None,
    options: BuildOptions = BuildOptions(),
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice | None = None,
    observer: BuildObserver | None = None,
    verbose: bool = False,
) -> BuildResult:
    """Rewrite a model where needed, build an engine, and save the plan with its manifest.

    Where TensorRT's builder fails on what an opt-in rewrite takes, or sizes follow from an input
    whose values have no range, the build begins again with a rewrite for it.
    The plan is written whole or not at all. Ctrl-C ends the build with a KeyboardInterrupt.

    Args:
        model_path: the ONNX model; pluginkit never reads its external data.
        plan_path: where the plan goes; by default into the model's folder.
        shapes: the ranges of each dynamic input, ``{"x": "1x16,64x16,1024x16"}``, see
            ``pluginkit.onnx.inference.shape_ranges``; defaults fill the rest.
        options: how to build: for which GPUs, with which precision and memory.
        plugins: the plugins that may be used; by default all that are found.
        rewrites: the rewrites that may be used; by default all that are found.
        choice: which of the rewrites to apply, ``RewriteChoice(also=["FuseAddRMSNorm"])``.
        observer: told of choices and progress.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK4xx, PK523: the model is unreadable, it needs a plugin that was not found, or there is no
            such rewrite.
        PK500 to PK506: shapes.  PK510 to PK514: the flavour cannot do this here.  PK525, PK526:
            files.
        PK8xx: the options ask for a plan that holds its plugins, and one cannot be exported.
        PK520: the parser refuses the model.  PK521: the build fails.  PK522: a plugin refuses the
        shapes.  PK204: a plugin's callback
            failed.
    """
    started = time.perf_counter()
    observer = observer or BuildObserver()
    path = Path(model_path)
    rewrite, precision = rewritten_source(
        path,
        shapes or {},
        installed_target(options.flavour),
        options.precision,
        plugins=plugins,
        rewrites=rewrites,
        choice=choice,
    )
    source = _Source(path, rewrite, precision)
    for note in source.rewrite.notes:
        observer.notice(note)
    target = Path(plan_path) if plan_path is not None else default_plan_path(path)
    check_target(path, target)
    flavour = load_flavour(options.flavour)
    resolved = resolve_options(options, flavour, source.plugins, observer)
    try:
        with collected_calls() as calls:
            engine = _build(flavour, source, shapes or {}, resolved, observer, verbose)
    except (BuildError, UsageError) as error:
        again = _with_helping_rewrite(choice, error, rewrites)
        if again is None:
            raise
        observer.notice(_why_again(error))
        try:
            return build_engine(
                path,
                plan_path,
                shapes=shapes,
                options=options,
                plugins=plugins,
                rewrites=rewrites,
                choice=again,
                observer=observer,
                verbose=verbose,
            )
        except PluginkitError:
            if isinstance(error, UsageError):  # which says what to give
                raise error from None
            raise
    manifest = manifest_of(engine, flavour, resolved, source.path, source.nodes, calls)
    text = manifest.to_json().encode()
    write_together({target: engine.plan, manifest_path(target): text})
    return BuildResult(
        plan_path=target,
        manifest=manifest,
        profiles=engine.profiles,
        seconds=time.perf_counter() - started,
        rewrite=source.rewrite,
        precision=source.precision,
    )


def _why_again(error: PluginkitError) -> str:
    if isinstance(error, UsageError):
        return (
            f"{error.rewrite} is applied: {error.message} Sizes that follow from its values are "
            f"found while the engine runs; to plan for them, {error.fix}"
        )
    return f"{error.rewrite} is applied: without it TensorRT's builder fails."


def _with_helping_rewrite(
    choice: RewriteChoice | None, error: PluginkitError, rewrites: Sequence[type[Rewrite]] | None
) -> RewriteChoice | None:
    """Return the choice with the rewrite that may help; None without one, or if it is decided."""
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

    choice, name = choice or RewriteChoice(), error.rewrite
    is_found = rewrites is None or name in [one.__name__ for one in rewrites]
    if name is None or not is_found or choice.only or name in {*choice.skip, *choice.also}:
        return None
    return replace(choice, also=[*choice.also, name])


def _build(
    flavour: Flavour,
    source: _Source,
    shapes: Mapping[str, ShapeSpec],
    resolved: ResolvedOptions,
    observer: BuildObserver,
    verbose: bool,
) -> BuiltEngine:
    from pluginkit.trt.callbacks import callback_errors

    bind_polygraphy(flavour)
    with (
        callback_errors() as failures,
        captured_log(verbose=verbose) as errors,
        _registered(flavour, source, shapes, resolved) as resolved,
    ):
        # The network is gone when this returns, before a library of its plugins is unloaded.
        return _parse_and_serialize(flavour, source, shapes, resolved, observer, errors, failures)


def _parse_and_serialize(
    flavour: Flavour,
    source: _Source,
    shapes: Mapping[str, ShapeSpec],
    resolved: ResolvedOptions,
    observer: BuildObserver,
    errors: list[str],
    failures: list[CallbackFailure],
) -> BuiltEngine:
    check_known(source.rewrite.model, source.rewrite.plugins, flavour)
    try:
        parsed = parse_model(
            flavour,
            source.rewrite.model,
            source.path,
            errors,
            is_typed=resolved.is_typed,
        )
    except ParseError as error:
        explain_refusals(error, source.rewrite, flavour.name)
        raise
    rewrite = source.rewrite
    if resolved.options.mark:
        mark_values(parsed, rewrite.model, resolved.options.mark)
    linked = link_inputs(rewrite.model, rewrite.plugins, inputs_of(parsed.network))
    checks = ProfileChecks(rewrite.model, rewrite.plugins)
    first_failures: list[CallbackFailure] = []

    def build(profiles: Sequence[OptimizationProfile]) -> bytes:
        errors.clear()
        failures.clear()
        checks.check(profiles)
        try:
            with working(str(flavour), BUILDING, source.path):
                return serialize_network(parsed, profiles, resolved, observer, errors)
        except BuildError as error:
            if failures:  # after which this process should not go on with TensorRT
                error.cause = str(failures[0].error)
                first_failures.extend([] if first_failures else failures)
            raise

    try:
        plan, profiles = build_with_fitting_defaults(linked.inputs, shapes, build, linked.fixed)
    except BuildError as error:
        failures[:] = first_failures  # which callback_errors then raises
        if error.code == "PK521":
            explain_failure(error, rewrite, flavour)
        raise
    return built_engine(plan, profiles, parsed.network, resolved.library)


@contextmanager
def _registered(
    flavour: Flavour, source: _Source, shapes: Mapping[str, ShapeSpec], resolved: ResolvedOptions
) -> Iterator[ResolvedOptions]:
    """Register the plugins, Python's or those of a library that goes into the plan."""
    if not resolved.options.standalone:
        from pluginkit.trt.plugin_registry import register

        register(*source.plugins, interface=resolved.options.interface, flavour=flavour)
        yield resolved
        return
    from pluginkit.engine.build.standalone import exported_plugins
    from pluginkit.trt.plugin_library import plugin_library

    rewrite = source.rewrite
    with (
        exported_plugins(flavour, rewrite.model, rewrite.plugins, shapes, resolved) as (
            path,
            record,
        ),
        plugin_library(path, source.plugins, flavour),
    ):
        yield replace(resolved, plugin_library=str(path), library=record)
