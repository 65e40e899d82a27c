"""Run a plan with Polygraphy's TrtRunner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from pluginkit.engine.build.shape_ranges import text_from_shape
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log, meaningful
from pluginkit.engine.plan.check_manifest import check_manifest
from pluginkit.engine.plan.engine_inputs import described_inputs
from pluginkit.engine.plan.manifest import Manifest, Range, Tensor, is_alone, read_manifest
from pluginkit.errors import MissingDependencyError, PlanError, RunError, UsageError
from pluginkit.trt.flavour import Flavour, load_flavour

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.trt.plugin_registry import Interface

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Timing:
    """Repeated runs of one plan.

    Attributes:
        outputs: the outputs of the last run.
        milliseconds: the duration of each run, with the copies of inputs and outputs.
    """

    outputs: Arrays
    milliseconds: tuple[float, ...]


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
    return time_engine(
        plan_path,
        inputs,
        1,
        flavour=flavour,
        plugins=plugins,
        allow_host_code=allow_host_code,
        verbose=verbose,
    ).outputs


def time_engine(
    plan_path: str | Path,
    inputs: Arrays,
    iterations: int,
    *,
    warm_up: int = 0,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Timing:
    """Run a plan ``warm_up`` and then ``iterations`` times; the rest is as for ``run_engine``."""
    if iterations < 1 or warm_up < 0:
        raise UsageError("PK542", f"iterations is {iterations}; expected at least 1.")
    from pluginkit.trt.callbacks import callback_errors

    opened = _opened(Path(plan_path), inputs, flavour, plugins, allow_host_code, verbose)
    with callback_errors(), opened as runner:
        milliseconds = []
        for _ in range(warm_up + iterations):
            outputs = runner.infer(dict(inputs))
            milliseconds.append(1e3 * runner.last_inference_time())
        return Timing(
            {name: array.copy() for name, array in outputs.items()}, tuple(milliseconds[warm_up:])
        )


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
        if plugins is None and manifest.plugins and manifest.library is None:
            from pluginkit.discovery import find_plugins

            plugins = with_variants(find_plugins(), [record.key for record in manifest.plugins])
        flavour = load_flavour(flavour_name or manifest.flavour)
        profile = _check(plan_path, inputs, flavour, plugins or {}, allow_host_code)
    bind_polygraphy(flavour)
    if manifest is not None and manifest.library is None:
        _register(manifest, plugins or {}, flavour)

    from polygraphy.backend.trt import TrtRunner, engine_from_bytes
    from polygraphy.exception import PolygraphyException

    with captured_log(verbose=verbose) as errors:
        try:
            runtime = runtime_for(flavour, manifest, allow_host_code)
            with working(str(flavour), DESERIALIZING, plan_path):
                engine = engine_from_bytes(plan_path.read_bytes(), runtime)
        except PolygraphyException as error:
            raise PlanError(
                "PK541", f"{flavour.name} does not load {plan_path}.", cause=meaningful(errors)
            ) from error
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
    gpu = find_gpu()
    manifest = check_manifest(
        plan_path,
        flavour=flavour.name,
        tensorrt=flavour.version,
        compute_capabilities=[text_from_capability(gpu.compute_capability)] if gpu else None,
        plugin_sources={key: source_sha256(cls) for key, cls in plugins.items()},
        allow_host_code=allow_host_code,
    )
    profile = fitting_profile(manifest.inputs, manifest.profiles, inputs)
    _need_gpu(plan_path)
    return profile


def _need_gpu(plan_path: Path) -> None:
    if find_gpu() is None:
        raise MissingDependencyError(
            "PK540",
            f"running {plan_path} needs a GPU; this machine has none.",
            fix="copy the plan, and its manifest, to a machine with a GPU that it was built for.",
        )


def _register(manifest: Manifest, plugins: Plugins, flavour: Flavour) -> None:
    from pluginkit.trt.plugin_registry import register

    for record in manifest.plugins:
        interface: Interface = "v2" if record.interface == "v2" else "v3"
        register(plugins[record.key], interface=interface, flavour=flavour)


def fitting_profile(
    tensors: Sequence[Tensor], profiles: Sequence[Mapping[str, Range]], inputs: Arrays
) -> int:
    """Return the number of the first optimization profile that the input arrays fit.

    Args:
        tensors: the plan's inputs.
        profiles: the ranges of each profile, by the inputs' names.
        inputs: the arrays, by name.

    Errors:
        PK542: an input is missing, unknown, of another dtype, or outside every profile.
    """
    expected = {tensor.name: tensor for tensor in tensors}
    listing = ", ".join(
        f"{one.name} {one.dtype.lower()}[{', '.join('?' if d < 0 else str(d) for d in one.shape)}]"
        for one in tensors
    )
    if set(expected) != set(inputs):
        raise UsageError(
            "PK542",
            f"got inputs {', '.join(sorted(inputs)) or 'none'}; the plan takes {listing}.",
        )
    for name, tensor in expected.items():
        array = inputs[name]
        if array.dtype.name != tensor.dtype.lower() or array.ndim != len(tensor.shape):
            raise UsageError(
                "PK542",
                f"input '{name}' is {array.dtype}[{', '.join(map(str, array.shape))}]; "
                f"the plan takes {listing}.",
            )
    misfits = []
    for number, ranges in enumerate(profiles):
        misfit = next(_misfits(tensors, inputs, ranges), None)
        if misfit is None:
            return number
        misfits.append(misfit)
    wider = "build the plan with wider --shapes."
    if len(misfits) == 1:
        raise UsageError("PK542", f"{misfits[0]}.", fix=wider)
    raise UsageError(
        "PK542",
        f"the inputs fit none of the plan's {len(misfits)} optimization profiles.",
        cause="\n".join(f"profile {number}: {misfit}" for number, misfit in enumerate(misfits)),
        fix=wider,
    )


def _misfits(
    tensors: Iterable[Tensor], inputs: Arrays, ranges: Mapping[str, Range]
) -> Iterator[str]:
    """Yield, in words, each input that is outside a profile."""
    for tensor in tensors:
        name, array = tensor.name, inputs[tensor.name]
        limits = ranges.get(name, Range(tensor.shape, tensor.shape, tensor.shape))
        bounds = [(limits.min, array.shape, limits.max)]
        if limits.is_shape_tensor:
            values = tuple(int(one) for one in array.flat)
            bounds = [(tensor.shape, array.shape, tensor.shape), (limits.min, values, limits.max)]
        for low, value, high in bounds:
            if not _is_between(low, value, high):
                yield (
                    f"input '{name}' is {text_from_shape(value)}; "
                    f"the plan takes {text_from_shape(low)} to {text_from_shape(high)}"
                )


def _is_between(low: tuple[int, ...], value: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return len(low) == len(value) == len(high) and all(
        a <= b <= c for a, b, c in zip(low, value, high, strict=True)
    )
