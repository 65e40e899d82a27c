"""Run a plan with Polygraphy's TrtRunner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.contract.plugin import Plugins
from pluginkit.contract.scratch import with_variants
from pluginkit.current_work import DESERIALIZING, RUNNING, working
from pluginkit.device.gpus import find_gpu
from pluginkit.engine.build.compute_capabilities import text_from_capability
from pluginkit.engine.build.model_plugins import source_sha256
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log, meaningful
from pluginkit.engine.plan.check_manifest import check_manifest
from pluginkit.engine.plan.engine_inputs import described_inputs
from pluginkit.engine.plan.fitting_profile import fitting_profile
from pluginkit.engine.plan.manifest import Manifest, is_alone, read_manifest
from pluginkit.engine.plan.time_runs import WARM_UP, Timing, time_runs
from pluginkit.errors import MissingDependencyError, PlanError, RunError, UsageError
from pluginkit.trt.flavour import Flavour, load_flavour

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.trt.plugin_registry import Interface

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


def run_engine(
    plan_path: str | Path,
    inputs: Arrays,
    *,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Arrays:
    """Check a plan's manifest and run the plan once.

    Args:
        plan_path: the plan; its manifest is in the same folder, unless ``allow_host_code`` is set.
        inputs: an array for each input, of the plan's dtype and within one of its profiles.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that may be used; by default all that are found.
        allow_host_code: run code that the plan holds even if its manifest does not describe it,
            or if there is no manifest: the inputs are then those that the engine names.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK530 to PK534: the plan or its manifest is damaged, or does not fit here.  PK540: no GPU.
        PK541: TensorRT does not load the plan.  PK542: the inputs do not fit.  PK543: the run
            fails.
    """
    from pluginkit.trt.callbacks import callback_errors

    opened = _opened(Path(plan_path), inputs, flavour, plugins, allow_host_code, verbose)
    with callback_errors(), opened as runner:
        return {name: array.copy() for name, array in runner.infer(dict(inputs)).items()}


def time_engine(
    plan_path: str | Path,
    inputs: Arrays,
    iterations: int,
    *,
    warm_up: int = WARM_UP,
    cuda_graph: bool = False,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Timing:
    """Run a plan ``warm_up`` and then ``iterations`` times; the rest is as for ``run_engine``.

    With ``cuda_graph``, an enqueue is captured after the first run and replayed in all others.
    """
    if iterations < 1 or warm_up < 1:
        raise UsageError(
            "PK542",
            f"iterations is {iterations} and warm_up is {warm_up}; expected at least 1 of each.",
        )
    from pluginkit.trt.callbacks import callback_errors

    opened = _opened(Path(plan_path), inputs, flavour, plugins, allow_host_code, verbose)
    with callback_errors(), opened as runner:
        return time_runs(runner, inputs, iterations, warm_up=warm_up, cuda_graph=cuda_graph)


@contextmanager
def _opened(
    plan_path: Path,
    inputs: Arrays,
    flavour_name: str | None,
    plugins: Plugins | None,
    allow_host_code: bool,
    verbose: bool,
) -> Iterator[Any]:
    """Check a plan and its inputs, and open a TrtRunner on it."""
    manifest, profile = None, 0
    if allow_host_code and is_alone(plan_path):
        flavour = load_flavour(flavour_name)
        _need_gpu(plan_path)
    else:
        manifest = read_manifest(plan_path)
        plugins = known_plugins(manifest, plugins)
        flavour = load_flavour(flavour_name or manifest.flavour)
        profile = _check(plan_path, inputs, flavour, plugins, allow_host_code)
    bind_polygraphy(flavour)

    from polygraphy.backend.trt import TrtRunner
    from polygraphy.exception import PolygraphyException

    with captured_log(verbose=verbose) as errors:
        with working(str(flavour), DESERIALIZING, plan_path):
            engine = load_engine(
                plan_path, flavour, manifest, plugins or {}, errors, allow_host_code
            )
        if manifest is None:
            profile = fitting_profile(*described_inputs(flavour.module, engine), inputs)
        try:
            # Profile 0 is active from the start.
            with (
                working(str(flavour), RUNNING, plan_path),
                TrtRunner(engine, optimization_profile=profile or None) as runner,
            ):
                yield runner
        except PolygraphyException as error:
            raise RunError(
                "PK543",
                f"{flavour.name} could not run {plan_path}.",
                cause=meaningful(errors) or str(error),
            ) from error


def known_plugins(manifest: Manifest, plugins: Plugins | None) -> Plugins:
    """Return the plugins that are given, or else those that are found, if a plan needs any.

    The variants that the plan needs are among them.
    """
    if not manifest.plugins or manifest.library is not None:
        return plugins or {}
    if plugins is None:
        from pluginkit.discovery import find_plugins

        plugins = find_plugins()
    return with_variants(plugins, [record.key for record in manifest.plugins])


def load_engine(
    plan_path: Path,
    flavour: Flavour,
    manifest: Manifest | None,
    plugins: Plugins,
    errors: list[str],
    allow_host_code: bool = False,
) -> Any:
    """Register a plan's plugins and return its ICudaEngine.

    Errors:
        PK541: TensorRT does not load it; the cause is what ``captured_log`` added to ``errors``.
    """
    from polygraphy.backend.trt import engine_from_bytes
    from polygraphy.exception import PolygraphyException

    if manifest is not None and manifest.library is None:
        _register(manifest, plugins, flavour)
    try:
        runtime = runtime_for(flavour, manifest, allow_host_code)
        return engine_from_bytes(plan_path.read_bytes(), runtime)
    except PolygraphyException as error:
        raise PlanError(
            "PK541", f"{flavour.name} does not load {plan_path}.", cause=meaningful(errors)
        ) from error


def runtime_for(flavour: Flavour, manifest: Manifest | None, allow_host_code: bool) -> Any:
    """Return the IRuntime that loads a plan.

    It may execute code in the plan where the manifest describes that code, which
    ``check_manifest`` has compared, or where the user allows it.
    """
    from polygraphy.backend.trt import get_trt_logger

    runtime = flavour.module.Runtime(get_trt_logger())
    runtime.engine_host_code_allowed = allow_host_code or (
        manifest is not None and manifest.library is not None
    )
    return runtime


def _check(
    plan_path: Path, inputs: Arrays, flavour: Flavour, plugins: Plugins, allow_host_code: bool
) -> int:
    """Check all that is known before TensorRT sees the plan; return the profile's number."""
    manifest = _fitting_manifest(plan_path, flavour, plugins, allow_host_code)
    profile = fitting_profile(manifest.inputs, manifest.profiles, inputs)
    _need_gpu(plan_path)
    return profile


def check_here(
    plan_path: Path, flavour: Flavour, plugins: Plugins, *, allow_host_code: bool, what: str
) -> None:
    """Check that a plan can be loaded on this machine, for what is done to it.

    Errors:
        PK530 to PK534: it does not fit.  PK540: there is no GPU.
    """
    _fitting_manifest(plan_path, flavour, plugins, allow_host_code)
    _need_gpu(plan_path, what)


def _fitting_manifest(
    plan_path: Path, flavour: Flavour, plugins: Plugins, allow_host_code: bool
) -> Manifest:
    gpu = find_gpu()
    return check_manifest(
        plan_path,
        flavour=flavour.name,
        tensorrt=flavour.version,
        compute_capabilities=[text_from_capability(gpu.compute_capability)] if gpu else None,
        plugin_sources={key: source_sha256(cls) for key, cls in plugins.items()},
        allow_host_code=allow_host_code,
    )


def _need_gpu(plan_path: Path, what: str = "running") -> None:
    if find_gpu() is None:
        raise MissingDependencyError(
            "PK540",
            f"{what} {plan_path} needs a GPU; this machine has none.",
            fix="copy the plan, and its manifest, to a machine with a GPU that it was built for.",
        )


def _register(manifest: Manifest, plugins: Plugins, flavour: Flavour) -> None:
    from pluginkit.trt.plugin_registry import register

    for record in manifest.plugins:
        interface: Interface = "v2" if record.interface == "v2" else "v3"
        register(plugins[record.key], interface=interface, flavour=flavour)
