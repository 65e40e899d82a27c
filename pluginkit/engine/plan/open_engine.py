"""Open a plan: check its manifest, register its plugins, and load its engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from pluginkit.errors import MissingDependencyError, PlanError, RunError
from pluginkit.trt.flavour import Flavour, load_flavour

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.trt.plugin_registry import Interface

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class OpenEngine:
    """A plan that TensorRT has loaded.

    Attributes:
        flavour: the TensorRT.
        engine: the ICudaEngine.
        profiles: the optimization profile of each set of inputs.
        plugin_nodes: the names of the plugin nodes, as far as there is a manifest.
    """

    flavour: Flavour
    engine: Any
    profiles: Sequence[int]
    plugin_nodes: Sequence[str]

    @property
    def computed_by(self) -> str:
        """The TensorRT and the GPU, in words."""
        gpu = find_gpu()
        return f"{self.flavour} on {gpu.name}" if gpu is not None else str(self.flavour)

    def runner(self, number: int = 0, *, is_timed: bool = False) -> Any:
        """Return a TrtRunner, with an execution context of its own.

        Args:
            number: the number of the set of inputs.
            is_timed: whether it is for timed runs. TensorRT-RTX otherwise compiles kernels for
                shapes in the background, and runs slower ones meanwhile.
        """
        from polygraphy.backend.trt import TrtRunner

        engine = self._eager_context() if is_timed else self.engine
        # Profile 0 is active from the start.
        return TrtRunner(engine, optimization_profile=self.profiles[number] or None)

    def _eager_context(self) -> Any:
        """Return an execution context that compiles kernels before it runs, or the engine."""
        strategy = getattr(self.flavour.module, "DynamicShapesKernelSpecializationStrategy", None)
        if strategy is None:
            return self.engine
        config = self.engine.create_runtime_config()
        config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
        return self.engine.create_execution_context(config)


@contextmanager
def open_engine(
    plan_path: Path,
    inputs: Sequence[Arrays],
    *,
    what: str = "running",
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Iterator[OpenEngine]:
    """Check a plan and sets of inputs for it, and load the plan.

    Args:
        plan_path: the plan; its manifest is in the same folder, unless ``allow_host_code`` is set.
        inputs: one set or several, each with an array for each input.
        what: what is done with the plan, for the error about a missing GPU.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that may be used; by default all that are found.
        allow_host_code: as for ``run_engine``.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        As for ``run_engine``, of what is done in the body too.
    """
    manifest, profiles = None, [0 for _ in inputs]
    if allow_host_code and is_alone(plan_path):
        trt = load_flavour(flavour)
        _need_gpu(plan_path, what)
    else:
        manifest = read_manifest(plan_path)
        plugins = known_plugins(manifest, plugins)
        trt = load_flavour(flavour or manifest.flavour)
        _check_fits(plan_path, trt, plugins, allow_host_code)
        profiles = [fitting_profile(manifest.inputs, manifest.profiles, one) for one in inputs]
        _need_gpu(plan_path, what)
    bind_polygraphy(trt)

    from polygraphy.exception import PolygraphyException

    with captured_log(verbose=verbose) as errors:
        with working(str(trt), DESERIALIZING, plan_path):
            engine = load_engine(plan_path, trt, manifest, plugins or {}, errors, allow_host_code)
        if manifest is None:
            described = described_inputs(trt.module, engine)
            profiles = [fitting_profile(*described, one) for one in inputs]
        records = manifest.plugins if manifest is not None else ()
        nodes = [node.name for record in records for node in record.nodes]
        try:
            with working(str(trt), RUNNING, plan_path):
                yield OpenEngine(trt, engine, profiles, nodes)
        except PolygraphyException as error:
            raise RunError(
                "PK543",
                f"{trt.name} could not run {plan_path}.",
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


def check_here(
    plan_path: Path, flavour: Flavour, plugins: Plugins, *, allow_host_code: bool, what: str
) -> None:
    """Check that a plan can be loaded on this machine, for what is done to it.

    Errors:
        PK530 to PK534: it does not fit.  PK540: there is no GPU.
    """
    _check_fits(plan_path, flavour, plugins, allow_host_code)
    _need_gpu(plan_path, what)


def _check_fits(plan_path: Path, flavour: Flavour, plugins: Plugins, allow_host_code: bool) -> None:
    gpu = find_gpu()
    check_manifest(
        plan_path,
        flavour=flavour.name,
        tensorrt=flavour.version,
        compute_capabilities=[text_from_capability(gpu.compute_capability)] if gpu else None,
        plugin_sources={key: source_sha256(cls) for key, cls in plugins.items()},
        allow_host_code=allow_host_code,
    )


def _need_gpu(plan_path: Path, what: str) -> None:
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
