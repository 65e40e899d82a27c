"""Configure TensorRT's builder and serialize a network into a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.build.build_progress import BuildObserver, progress_monitor
from pluginkit.engine.build.builder_config import builder_config
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.parse.parse_model import ParsedNetwork
from pluginkit.engine.parse.polygraphy_backend import meaningful
from pluginkit.engine.plan.output_files import write_atomically
from pluginkit.errors import BuildError
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
        config = builder_config(parsed, profiles, resolved, monitor)
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


def _save_timing_cache(config: Any, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        write_atomically(path, bytes(cache.serialize()))
