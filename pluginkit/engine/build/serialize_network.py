"""Configure TensorRT's builder and serialize a network into a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pluginkit.atomic_files import read_file
from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.build.build_progress import BuildObserver, progress_monitor
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.parse.parse_model import ParsedNetwork
from pluginkit.engine.parse.polygraphy_backend import meaningful
from pluginkit.engine.plan.output_files import write_atomically
from pluginkit.errors import BuildError, UsageError
from pluginkit.interrupts import interruptible_build


def serialize_network(
    parsed: ParsedNetwork,
    profiles: Sequence[OptimizationProfile],
    resolved: ResolvedOptions,
    observer: BuildObserver,
    errors: list[str],
) -> bytes:
    """Build the engine and return its plan; update the timing cache.

    Args:
        parsed: the network, with its builder.
        profiles: the optimization profiles of the network's dynamic inputs.
        resolved: how to build.
        observer: told of progress.
        errors: the list to which ``captured_log`` adds what TensorRT logs.

    Errors:
        PK521: TensorRT does not build it; the cause is what it logged.
        KeyboardInterrupt: Ctrl-C was pressed during the build.
    """
    flavour = parsed.flavour
    with interruptible_build() as is_interrupted:
        monitor = progress_monitor(flavour.module, observer, is_interrupted)
        config = _builder_config(parsed, profiles, resolved, monitor)
        serialized = parsed.builder.build_serialized_network(parsed.network, config)
        if is_interrupted():
            raise KeyboardInterrupt
    if serialized is None:
        raise BuildError(
            "PK521",
            f"{flavour.name} built no engine.",
            cause=meaningful(errors) or "it logged no reason.",
            fix="run again with -v for TensorRT's whole log.",
        )
    if resolved.timing_cache is not None:
        _save_timing_cache(config, resolved.timing_cache)
    return bytes(serialized)


def _builder_config(
    parsed: ParsedNetwork,
    profiles: Sequence[OptimizationProfile],
    resolved: ResolvedOptions,
    monitor: Any,
) -> Any:
    """Return the IBuilderConfig."""
    from polygraphy.backend.trt import CreateConfig

    options, trt = resolved.options, parsed.flavour.module
    common: dict[str, Any] = {
        "profiles": [_trt_profile(profile) for profile in profiles],
        "progress_monitor": monitor,
        "version_compatible": options.version_compatible,
    }
    if options.workspace_bytes is not None:
        common["memory_pool_limits"] = {trt.MemoryPoolType.WORKSPACE: options.workspace_bytes}
    if parsed.flavour.needs_gpu_to_build:
        create = CreateConfig(fp16=options.fp16, tf32=True, **common)
    else:
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

        create = CreateConfigRTX(compute_capabilities=list(resolved.capabilities), **common)
    config = create(parsed.builder, parsed.network)
    if resolved.has_aliased_io and hasattr(trt, "PreviewFeature"):
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    if resolved.plugin_library:
        config.plugins_to_serialize = [resolved.plugin_library]
    if resolved.timing_cache is not None and resolved.timing_cache.exists():
        _load_timing_cache(config, resolved.timing_cache)
    return config


def _trt_profile(profile: OptimizationProfile) -> Any:
    from polygraphy.backend.trt import Profile as TrtProfile

    trt_profile = TrtProfile()
    for name, shapes in profile.ranges.items():
        trt_profile.add(name, *shapes)
    return trt_profile


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
            fix="name another file; the build creates it if it does not exist.",
        )


def _save_timing_cache(config: Any, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        write_atomically(path, bytes(cache.serialize()))
