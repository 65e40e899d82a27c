"""Configure TensorRT's builder, through Polygraphy."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pluginkit.atomic_files import read_file
from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.build.config_options import config_arguments, finish_config
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.parse.parse_model import ParsedNetwork
from pluginkit.errors import UsageError

#: How a timing cache of TensorRT-RTX begins.
_RTX_CACHE = b"ptrt"


def builder_config(
    parsed: ParsedNetwork,
    profiles: Sequence[OptimizationProfile],
    resolved: ResolvedOptions,
    monitor: Any,
) -> Any:
    """Return the IBuilderConfig.

    Args:
        parsed: the network, with its builder.
        profiles: the optimization profiles of the network's dynamic inputs.
        resolved: how to build.
        monitor: TensorRT's IProgressMonitor.

    Errors:
        PK513: there is no such DLA.  PK526: the timing cache cannot be read, or is not of this
            TensorRT and GPU.  PK528: the script of the configuration fails.
    """
    from polygraphy.backend.trt import CreateConfig

    options, trt = resolved.options, parsed.flavour.module
    common: dict[str, Any] = {
        "profiles": [_trt_profile(profile) for profile in profiles],
        "progress_monitor": monitor,
        "version_compatible": options.version_compatible,
        **config_arguments(options.config, parsed.flavour),
    }
    if options.workspace_bytes is not None:
        common["memory_pool_limits"] = {trt.MemoryPoolType.WORKSPACE: options.workspace_bytes}
    if parsed.flavour.needs_gpu_to_build:
        create = CreateConfig(fp16=options.fp16, **common)
    else:
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

        create = CreateConfigRTX(compute_capabilities=list(resolved.capabilities), **common)
    config = create(parsed.builder, parsed.network)
    if options.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)  # TensorRT sets it by default
    if resolved.has_aliased_io and hasattr(trt, "PreviewFeature"):
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    if resolved.plugin_library:
        config.plugins_to_serialize = [resolved.plugin_library]
    if resolved.timing_cache is not None and resolved.timing_cache.exists():
        _load_timing_cache(config, resolved.timing_cache, parsed.flavour.name == "tensorrt_rtx")
    finish_config(options.config, parsed.flavour, parsed.builder, parsed.network, config)
    return config


def _trt_profile(profile: OptimizationProfile) -> Any:
    from polygraphy.backend.trt import Profile as TrtProfile

    trt_profile = TrtProfile()
    for name, shapes in profile.ranges.items():
        trt_profile.add(glob.escape(name), *shapes)  # Polygraphy takes names for patterns
    return trt_profile


def _load_timing_cache(config: Any, path: Path, is_rtx: bool) -> None:
    """Load a cache. The build overwrites the file, and TensorRT-RTX takes any for a cache."""
    try:
        data = read_file(path)
        cache = None
        if not is_rtx or data.startswith(_RTX_CACHE) or not data:
            cache = config.create_timing_cache(data)
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
