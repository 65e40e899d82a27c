"""Say what is in a plan: whether its plugins are here, and which layers the engine has."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pluginkit.contract.plugin import Plugins
from pluginkit.current_work import DESERIALIZING, working
from pluginkit.device.gpus import find_gpu
from pluginkit.engine.build.compute_capabilities import text_from_capability
from pluginkit.engine.build.model_plugins import module_file, source_sha256
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.plan.check_manifest import (
    found_instead,
    gpu_problems,
    tensorrt_problems,
)
from pluginkit.engine.plan.engine_layers import layers_of
from pluginkit.engine.plan.manifest import Manifest, PluginRecord, read_manifest
from pluginkit.engine.plan.open_engine import check_here, known_plugins, load_engine
from pluginkit.errors import UsageError
from pluginkit.trt.flavour import FLAVOURS, installed_flavours, installed_version, load_flavour


@dataclass(frozen=True)
class PluginHere:
    """A plugin of a plan, and whether this machine can load it.

    Attributes:
        record: what the manifest says.
        state: ``"same"`` for the plugin that the plan was built with, ``"changed"`` for one of that
            name with other source files, ``"missing"``; of a plan with a library, ``"in the plan"``
            or ``"other processor"``.
        text: the same in words.
        file: its module, None where the plugin is missing or in the plan.
    """

    record: PluginRecord
    state: Literal["same", "changed", "missing", "in the plan", "other processor"]
    text: str
    file: Path | None = None


def plugins_here(manifest: Manifest, plugins: Plugins | None = None) -> list[PluginHere]:
    """Look for the plugins of a plan on this machine.

    Args:
        manifest: the plan's manifest.
        plugins: the plugins that were found, by registry key; by default all that are found.
    """
    found = known_plugins(manifest, plugins)
    return [_plugin_here(manifest, record, found) for record in manifest.plugins]


def _plugin_here(manifest: Manifest, record: PluginRecord, found: Plugins) -> PluginHere:
    if manifest.library is not None:
        machine, arch = platform.machine(), manifest.library.arch
        if machine != arch:
            text = f"no: the plan's library is for {arch}, this machine is {machine}"
            return PluginHere(record, "other processor", text)
        return PluginHere(record, "in the plan", "yes, from the plan's library")
    plugin = found.get(record.key)
    if plugin is None:
        return PluginHere(record, "missing", f"no: {found_instead(record, found)}")
    file = module_file(plugin.spec.module)
    if source_sha256(plugin) != record.source_sha256:
        return PluginHere(record, "changed", f"no: {file} has changed since the build", file)
    return PluginHere(record, "same", f"yes, from {file}", file)


@dataclass(frozen=True)
class MachineHere:
    """What a plan needs of a machine, and whether this one has it.

    Attributes:
        what: ``"TensorRT"`` or ``"GPU"``.
        fits: whether it is here.
        text: the same in words.
    """

    what: str
    fits: bool
    text: str


def machine_here(manifest: Manifest, flavour: str | None = None) -> list[MachineHere]:
    """Look for the TensorRT and the GPU of a plan on this machine; nothing is loaded.

    Args:
        manifest: the plan's manifest.
        flavour: the TensorRT that is meant; by default the one that built the plan.

    Errors:
        PK600: there is no such flavour.
    """
    name = flavour or manifest.flavour
    if name not in FLAVOURS:
        raise UsageError(
            "PK600", f"'{name}' is no TensorRT; expected one of {', '.join(FLAVOURS)}."
        )
    version, gpu = installed_version(name), find_gpu()
    missing, absent = [f"{name} is not installed."], ["there is none."]
    if name in installed_flavours():
        missing = tensorrt_problems(manifest, name, version)
    if gpu is not None:
        absent = gpu_problems(manifest, [text_from_capability(gpu.compute_capability)])
    return [
        _machine_here("TensorRT", f"{name} {version or ''}".rstrip(), missing),
        _machine_here("GPU", gpu.name if gpu is not None else "", absent),
    ]


def _machine_here(what: str, name: str, problems: Sequence[str]) -> MachineHere:
    text = f"no: {problems[0].rstrip('.')}" if problems else f"yes, {name}"
    return MachineHere(what, not problems, text)


def engine_layers(
    plan_path: Path,
    *,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> list[dict[str, Any]]:
    """Load a plan and return its layers, as the engine inspector describes them.

    Args:
        plan_path: the plan; its manifest is in the same folder.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that may be used; by default all that are found.
        allow_host_code: as for ``run_engine``.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK530 to PK534: the plan or its manifest is damaged, or does not fit here.  PK540: no GPU.
        PK541: TensorRT does not load the plan.
    """
    manifest = read_manifest(plan_path)
    trt = load_flavour(flavour or manifest.flavour)
    found = known_plugins(manifest, plugins)
    what = "asking the engine inspector about"
    check_here(plan_path, trt, found, allow_host_code=allow_host_code, what=what)
    bind_polygraphy(trt)
    with captured_log(verbose=verbose) as errors:
        with working(str(trt), DESERIALIZING, plan_path):
            engine = load_engine(plan_path, trt, manifest, found, errors, allow_host_code)
        return layers_of(trt.module, engine)
