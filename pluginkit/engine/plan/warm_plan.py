"""Compile the kernels of a plan's plugins ahead, so that its first run finds them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_name
from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.engine.build.compute_capabilities import text_from_capability
from pluginkit.engine.build.model_plugins import source_sha256
from pluginkit.engine.plan.check_manifest import check_manifest
from pluginkit.engine.plan.manifest import Manifest, PluginRecord, ProfileCall, read_manifest
from pluginkit.engine.plan.open_engine import known_plugins
from pluginkit.errors import PlanError
from pluginkit.kernels.compile_early import kernels_of_call
from pluginkit.kernels.disk_cache import cache_folder
from pluginkit.kernels.machine_code import machine_code
from pluginkit.kernels.specialise import Specialisation


@dataclass(frozen=True)
class WarmedPlan:
    """What was compiled.

    Attributes:
        capabilities: the compute capabilities, ``"9.0"``.
        kernels: how many kernels each of them has in the cache now.
        folder: the cache.
        seconds: how long it took.
        holds_kernels: whether the plan holds its kernels, so that there was nothing to do.
    """

    capabilities: tuple[str, ...]
    kernels: int
    folder: Path
    seconds: float
    holds_kernels: bool = False


def warm_plan(
    plan_path: Path,
    capabilities: Sequence[tuple[int, int]] = (),
    *,
    plugins: Plugins | None = None,
) -> WarmedPlan:
    """Compile what a plan's plugins launch at the ends of its profiles into the kernel cache.

    It needs no GPU. Sizes in between may launch other kernels; those are compiled when they are
    met.

    Args:
        plan_path: the plan; its manifest is in the same folder.
        capabilities: the GPUs to compile for; by default all that the plan was built for.
        plugins: the plugins that may be used; by default all that are found.

    Errors:
        PK530 to PK533: the plan or its manifest is damaged, was built for other GPUs, or its
            plugins are missing or have changed.
        PK547: the manifest does not say what to compile.
        PK3xx: a kernel does not compile.
    """
    started = time.perf_counter()
    manifest = read_manifest(plan_path)
    chosen = tuple(map(text_from_capability, capabilities)) or manifest.compute_capabilities
    found = known_plugins(manifest, plugins)
    sources = {key: source_sha256(cls) for key, cls in found.items()}
    for capability in chosen:
        check_manifest(plan_path, compute_capabilities=[capability], plugin_sources=sources)
    if manifest.library is not None:
        return WarmedPlan(chosen, manifest.library.kernels, cache_folder(), 0.0, True)
    _check_has_calls(plan_path, manifest)
    wanted = dict.fromkeys(
        kernel
        for record in manifest.plugins
        for call in record.calls
        for kernel in _kernels_of(found[record.key], call)
    )
    for capability in chosen:
        machine_code(wanted, capability.replace(".", ""))
    return WarmedPlan(chosen, len(wanted), cache_folder(), time.perf_counter() - started)


def _check_has_calls(plan_path: Path, manifest: Manifest) -> None:
    def lacks_calls(record: PluginRecord) -> bool:
        return bool(record.nodes) and not record.calls

    without = next(filter(lacks_calls, manifest.plugins), None)
    if without is not None:
        raise PlanError(
            "PK547",
            f"the manifest of {plan_path} has no shapes of plugin {without.name}; expected those "
            "of its profiles.",
            cause="it was built by an older pluginkit.",
            fix="build the plan again.",
        )


def _kernels_of(plugin_class: type[Plugin], call: ProfileCall) -> Iterator[Specialisation]:
    """Yield the kernels of one call, of every tactic that TensorRT may have chosen."""
    if "launches" not in plugin_class.spec.overrides:
        return
    plugin = plugin_class.from_wire(call.attributes)
    dtypes = [dtype_from_name(name) for name in call.dtypes]
    inputs = calls.describe_on_device(plugin, call.shapes, dtypes, lambda: call.outputs)
    outputs = calls.describe_outputs(plugin, inputs)
    for tactic in plugin.spec.tactics or ("",):
        yield from kernels_of_call(
            plugin.with_tactic(tactic) if tactic else plugin, inputs, outputs
        )
