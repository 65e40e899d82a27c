"""From a model to a plan and its manifest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluginkit
from pluginkit.engine.plan import manifest as manifests
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.build.compute_capabilities import Capability, choose_capabilities, text_from_capability
from pluginkit.engine.build.serialize_network import BuildOptions, check_options, compile_network
from pluginkit.engine.plan.output_files import check_writable, sha256_of, write_together
from pluginkit.engine.parse.parse_model import parse_model
from pluginkit.engine.build.model_plugins import Plugins, check_known, plugin_records
from pluginkit.engine.build.profiles import Profile, inputs_of, resolve_profiles
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.shape_ranges import ShapeSpec
from pluginkit.errors import MissingDependencyError, ParseError, UsageError
from pluginkit.contract.plugin import Plugin
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.target import Target, installed_target

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.trt.plugin_registry import Interface


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Attributes:
        plan_path: the plan; its manifest stands beside it.
        manifest: the manifest's content.
        profiles: the optimization profiles, and which of them pluginkit chose.
        rewrite: what the rewrites did to the model.
        seconds: the build's duration, from reading the model to saving the plan.
    """

    plan_path: Path
    manifest: manifests.Manifest
    profiles: tuple[Profile, ...]
    rewrite: RewriteResult
    seconds: float


@dataclass(frozen=True)
class _Source:
    """A model that is ready for the parser."""

    path: Path
    rewrite: RewriteResult
    nodes: Sequence[tuple[str, Plugin]]


@dataclass(frozen=True)
class _Engine:
    """What TensorRT made of it."""

    plan: bytes
    profiles: tuple[Profile, ...]
    ranges: tuple[Mapping[str, manifests.Range], ...]
    inputs: tuple[manifests.Tensor, ...]
    outputs: tuple[manifests.Tensor, ...]


def default_plan_path(model_path: Path) -> Path:
    """``model.plan`` beside ``model.onnx``."""
    return model_path.with_name(model_path.name.removesuffix(".onnx") + ".plan")


def build_engine(
    model_path: str | Path,
    plan_path: str | Path | None = None,
    *,
    shapes: Mapping[str, ShapeSpec] | None = None,
    compute_capabilities: Sequence[Capability | str] = (),
    fp16: bool = False,
    version_compatible: bool = False,
    workspace_bytes: int | None = None,
    timing_cache: str | Path | None = None,
    flavour: str | None = None,
    interface: Interface = "auto",
    plugins: Plugins | None = None,
    rewrites: Sequence[Any] | None = None,
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    also: Iterable[str] = (),
    observer: BuildObserver | None = None,
    verbose: bool = False,
) -> BuildResult:
    """Rewrite a model where needed, build an engine, and save the plan with its manifest.

    The plan appears whole or not at all. Ctrl-C ends the build with a KeyboardInterrupt.

    Args:
        model_path: the ONNX model; its external data is never loaded here.
        plan_path: where the plan goes; beside the model unless given.
        shapes: the ranges of each dynamic input, ``{"x": "1x16,64x16,1024x16"}``, see
            ``pluginkit.engine.build.shape_ranges``; defaults fill the rest.
        compute_capabilities: the GPUs to build for, ``[(8, 9)]`` or ``["8.9"]``; this machine's
            unless given.
        fp16: let the engine compute in float16 (TensorRT 10; elsewhere precision comes from the
            model).
        version_compatible: let later TensorRT versions of the same major version load the plan.
        workspace_bytes: the most scratch memory a layer may use, in bytes; TensorRT's own limit
            unless given.
        timing_cache: a file of kernel timings that is read, if it is there, and updated.
        flavour: the TensorRT; the installed one unless given.
        interface: the plugin interface, ``"v2"``, ``"v3"`` or ``"auto"``.
        plugins: the plugins that may be used; all that are found unless given.
        rewrites: the rewrites that may be used; all that are found unless given.
        only: names of rewrites, to apply no others but those in ``also``.
        skip: names of rewrites to leave out.
        also: names of opt-in rewrites to apply as well.
        observer: told of choices and progress.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK4xx, PK523: the model is unreadable, it needs a plugin that was not found, or there is no
            such rewrite.
        PK500 to PK505: shapes.  PK510 to PK514: the flavour cannot do this here.  PK525, PK526:
            files.
        PK520: the parser refuses the model.  PK521: the build fails.  PK204: a plugin's callback
            failed.
    """
    started = time.perf_counter()
    observer = observer or BuildObserver()
    path = Path(model_path)
    source = _prepare(
        path, plugins, rewrites, installed_target(flavour), only=only, skip=skip, also=also
    )
    target = Path(plan_path) if plan_path is not None else default_plan_path(path)
    check_writable(target)
    check_writable(manifests.manifest_path(target))
    _refuse_overwriting(path, target)
    loaded = load_flavour(flavour)
    _check_flavour(loaded, interface)
    options = BuildOptions(
        choose_capabilities(loaded, tuple(compute_capabilities), observer),
        fp16,
        version_compatible,
        workspace_bytes,
        Path(timing_cache) if timing_cache is not None else None,
        aliased_io=any(plugin.spec.has_aliases for _, plugin in source.nodes),
    )
    check_options(loaded, options)
    engine = _build(loaded, source, shapes or {}, options, interface, observer, verbose)
    manifest = _describe(loaded, source, engine, options, interface)
    text = manifest.to_json().encode()
    write_together({target: engine.plan, manifests.manifest_path(target): text})
    seconds = time.perf_counter() - started
    return BuildResult(target, manifest, engine.profiles, source.rewrite, seconds)


def _prepare(
    path: Path,
    plugins: Plugins | None,
    rewrites: Sequence[Any] | None,
    target: Target | None,
    *,
    only: Iterable[str],
    skip: Iterable[str],
    also: Iterable[str],
) -> _Source:
    from pluginkit.discovery import find_plugins
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
    from pluginkit.onnx.model.graphs import describe
    from pluginkit.onnx.model.model_file import load_model
    from pluginkit.onnx.model.plugin_nodes import plugin_nodes

    found = find_plugins() if plugins is None else plugins
    result = rewrite_model(
        load_model(path),
        rewrites,
        only=only,
        skip=skip,
        also=also,
        plugins=found,
        target=target,
        in_place=True,
    )
    nodes = [
        (f"{scope} / {describe(node)}", plugin)
        for scope, node, plugin in plugin_nodes(result.model, result.plugins)
    ]
    return _Source(path, result, nodes)


def _refuse_overwriting(path: Path, target: Path) -> None:
    for written in (target, manifests.manifest_path(target)):
        if written.exists() and written.samefile(path):
            raise UsageError(
                "PK525", f"{written} is the model; expected another file.", fix="name another plan."
            )


def _check_flavour(flavour: Flavour, interface: Interface) -> None:
    if not flavour.has_builder or not flavour.has_parser:
        raise MissingDependencyError(
            "PK510",
            f"{flavour.name} builds no engines; expected tensorrt or tensorrt_rtx.",
            fix="choose another with --tensorrt or PLUGINKIT_TENSORRT.",
        )
    if interface == "v2" and not flavour.parser_takes_v2:
        raise UsageError(
            "PK513",
            f"{flavour.name}'s ONNX parser takes IPluginV3 plugins only; interface is 'v2'.",
            fix="leave the interface to pluginkit, or use --tensorrt tensorrt.",
        )


def _build(
    flavour: Flavour,
    source: _Source,
    shapes: Mapping[str, ShapeSpec],
    options: BuildOptions,
    interface: Interface,
    observer: BuildObserver,
    verbose: bool,
) -> _Engine:
    from pluginkit.trt.callbacks import callback_errors
    from pluginkit.trt.plugin_registry import register

    bind_polygraphy(flavour)
    model = source.rewrite.model
    with callback_errors(), captured_log(verbose=verbose) as errors:
        classes = dict.fromkeys(type(plugin) for _, plugin in source.nodes)
        register(*classes, interface=interface, flavour=flavour)
        check_known(model, source.rewrite.plugins, flavour)
        # The parser owns the network's weights: it must live until the engine is built.
        try:
            builder, network, _parser = parse_model(flavour, model, source.path, errors)
        except ParseError as error:
            _explain_refusals(error, source.rewrite)
            raise
        inputs = inputs_of(network)
        profiles = resolve_profiles(inputs, shapes)
        plan = compile_network(flavour, builder, network, profiles, options, observer, errors)
        shape_tensors = {one.name for one in inputs if one.is_shape_tensor}
        ranges = tuple(
            {
                name: manifests.Range(one.min, one.opt, one.max, name in shape_tensors)
                for name, one in profile.ranges.items()
            }
            for profile in profiles
        )
        return _Engine(plan, profiles, ranges, *_tensors(network))


def _explain_refusals(error: ParseError, rewrite: RewriteResult) -> None:
    """Say of each node that the parser refuses why a rewrite left it to the parser."""
    reasons = [
        f"{one.rewrite} left '{one.node}' as it is: {one.reason}"
        for one in rewrite.refused
        if f"'{one.node}'" in (error.cause or "")
    ]
    error.cause = "\n".join([error.cause or "", *reasons])


def _tensors(
    network: Any,
) -> tuple[tuple[manifests.Tensor, ...], tuple[manifests.Tensor, ...]]:
    from polygraphy.datatype import DataType

    def describe(tensor: Any) -> manifests.Tensor:
        dtype = DataType.from_dtype(tensor.dtype, "tensorrt")
        return manifests.Tensor(tensor.name, str(dtype.name), tuple(tensor.shape))

    inputs = tuple(describe(network.get_input(index)) for index in range(network.num_inputs))
    outputs = tuple(describe(network.get_output(index)) for index in range(network.num_outputs))
    return inputs, outputs


def _describe(
    flavour: Flavour, source: _Source, engine: _Engine, options: BuildOptions, interface: Interface
) -> manifests.Manifest:
    return manifests.Manifest(
        pluginkit=pluginkit.__version__,
        flavour=flavour.name,
        tensorrt=flavour.version,
        is_version_compatible=options.version_compatible,
        compute_capabilities=tuple(map(text_from_capability, options.capabilities)),
        plan_bytes=len(engine.plan),
        plan_sha256=hashlib.sha256(engine.plan).hexdigest(),
        model=source.path.name,
        model_sha256=sha256_of(source.path),
        inputs=engine.inputs,
        outputs=engine.outputs,
        profiles=engine.ranges,
        plugins=plugin_records(source.nodes, flavour, interface),
    )
