"""From a parsed network to the bytes of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluginkit.engine.parse.polygraphy_backend import meaningful
from pluginkit.engine.build.compute_capabilities import Capability
from pluginkit.engine.plan.output_files import check_writable, write_atomically
from pluginkit.engine.build.profiles import Profile
from pluginkit.engine.build.build_progress import BuildObserver, interruptible, progress_monitor
from pluginkit.errors import BuildError, UsageError
from pluginkit.atomic_files import read_file
from pluginkit.trt.flavour import Flavour


@dataclass(frozen=True)
class BuildOptions:
    """What goes into the builder's configuration; ``build_engine`` explains each.

    ``aliased_io`` says whether a plugin's output takes over an input's memory.
    """

    capabilities: tuple[Capability, ...]
    fp16: bool = False
    version_compatible: bool = False
    workspace_bytes: int | None = None
    timing_cache: Path | None = None
    aliased_io: bool = False


def check_options(flavour: Flavour, options: BuildOptions) -> None:
    """Fail for what the flavour does not have.

    Errors:
        PK513: fp16 or version compatibility.  PK525: the timing cache cannot be written.
        PK526: the workspace is out of range.
    """
    flags = getattr(flavour.module, "BuilderFlag", None)
    if options.fp16 and not hasattr(flags, "FP16"):
        raise UsageError(
            "PK513",
            f"{flavour.name} {flavour.version} has no fp16 option: precision comes from the model, "
            "for its networks are strongly typed.",
            fix="export the model in float16 (in PyTorch, model.half() before torch.onnx.export).",
        )
    if options.version_compatible and flavour.name == "tensorrt_rtx":
        raise UsageError(
            "PK513", f"{flavour.name} {flavour.version} builds no version-compatible plans."
        )
    if options.workspace_bytes is not None and not 0 < options.workspace_bytes < 2**63:
        raise UsageError(
            "PK526", f"workspace is {options.workspace_bytes} bytes; expected 1 to 2**63 - 1."
        )
    if options.timing_cache is not None:
        check_writable(options.timing_cache)


def compile_network(
    flavour: Flavour,
    builder: Any,
    network: Any,
    profiles: Sequence[Profile],
    options: BuildOptions,
    observer: BuildObserver,
    errors: list[str],
) -> bytes:
    """Build the engine and return its plan; update the timing cache.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        builder: as ``parse_model`` returned it.
        network: as ``parse_model`` returned it.
        profiles: of the network's dynamic inputs.
        options: checked.
        observer: told of progress.
        errors: what is logged meanwhile, see ``captured_log``.

    Errors:
        PK521: TensorRT does not build it; the cause is what it logged.
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    with interruptible() as is_interrupted:
        monitor = progress_monitor(flavour.module, observer, is_interrupted)
        config = _configure(flavour, builder, network, profiles, options, monitor)
        serialized = builder.build_serialized_network(network, config)
        if is_interrupted():
            raise KeyboardInterrupt
    if serialized is None:
        raise BuildError(
            "PK521",
            f"{flavour.name} built no engine.",
            cause=meaningful(errors) or "it logged no reason.",
            fix="run again with -v for TensorRT's whole log.",
        )
    if options.timing_cache is not None:
        _save_timing_cache(config, options.timing_cache)
    return bytes(serialized)


def _configure(
    flavour: Flavour,
    builder: Any,
    network: Any,
    profiles: Sequence[Profile],
    options: BuildOptions,
    monitor: Any,
) -> Any:
    from polygraphy.backend.trt import CreateConfig
    from polygraphy.backend.trt import Profile as TrtProfile

    trt = flavour.module
    trt_profiles = []
    for profile in profiles:
        trt_profiles.append(TrtProfile())
        for name, shapes in profile.ranges.items():
            trt_profiles[-1].add(name, *shapes)
    common = {
        "profiles": trt_profiles,
        "progress_monitor": monitor,
        "version_compatible": options.version_compatible,
    }
    if options.workspace_bytes is not None:
        common["memory_pool_limits"] = {trt.MemoryPoolType.WORKSPACE: options.workspace_bytes}
    if flavour.needs_gpu_to_build:
        config = CreateConfig(fp16=options.fp16, tf32=True, **common)(builder, network)
    else:
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

        capabilities = list(options.capabilities)
        config = CreateConfigRTX(compute_capabilities=capabilities, **common)(builder, network)
    if options.aliased_io and hasattr(trt, "PreviewFeature"):
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    if options.timing_cache is not None and options.timing_cache.exists():
        _load_timing_cache(config, options.timing_cache)
    return config


def _load_timing_cache(config: Any, path: Path) -> None:
    try:
        cache = config.create_timing_cache(read_file(path))
    except OSError as error:
        raise UsageError(
            "PK526", f"timing cache {path} cannot be read: {error.strerror}."
        ) from error
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise UsageError(
            "PK526",
            f"timing cache {path} is damaged, or of another TensorRT or GPU.",
            fix="name another file; it is made if it is not there.",
        )


def _save_timing_cache(config: Any, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        write_atomically(path, bytes(cache.serialize()))
